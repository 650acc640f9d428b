"""Errors of the language.

SchemaError
├── MalformedMessage   the peer sent bytes or a document that break the contract; carries a Reason
├── EncodeError        we built a message that the contract does not allow
├── TopicError         we asked for a topic that the table does not know, or with a bad id
├── IllegalTransitionError   (states)    we moved an update by an event that its state does not know
└── GenerateError      (generate)  flatc is missing, of another version, or refused a schema
"""

from enum import Enum


class SchemaError(Exception):
    """Base of every error this room raises."""


class Reason(str, Enum):
    """Why a received message was refused. Each is counted under this word."""

    TOO_SHORT = "too_short"
    TOO_LARGE = "too_large"
    BAD_IDENTIFIER = "bad_identifier"
    BAD_OFFSET = "bad_offset"
    BAD_VTABLE = "bad_vtable"
    MISSING_FIELD = "missing_field"
    BAD_VECTOR = "bad_vector"
    BAD_STRING = "bad_string"
    BAD_ENUM = "bad_enum"
    BAD_VALUE = "bad_value"
    BAD_CHECKSUM = "bad_checksum"
    WRONG_SCHEMA_VERSION = "wrong_schema_version"
    WRONG_SENDER = "wrong_sender"
    BAD_DOCUMENT = "bad_document"


class MalformedMessage(SchemaError):  # noqa: N818 - the word of the contract, read in logs and counters
    """A peer's message breaks the contract. ``reason`` is the counter's name."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail


class EncodeError(SchemaError):
    """A message of our own that no peer would accept; says which field."""


class TopicError(SchemaError):
    """A topic, filter or id that the stream table does not allow."""
