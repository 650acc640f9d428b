"""How documents become column text and come back."""

from typing import TypeVar

from pydantic import BaseModel

from schemas.documents import canonical_bytes

Document = TypeVar("Document", bound=BaseModel)


def to_text(document: BaseModel | None) -> str | None:
    """Canonical JSON, None for None."""
    return None if document is None else canonical_bytes(document).decode()


def from_text(kind: type[Document], text: str | None) -> Document | None:
    """The document, None for None."""
    return None if text is None else kind.model_validate_json(text)
