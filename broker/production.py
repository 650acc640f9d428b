"""What a production broker needs: its configuration, access list and passwords.

Shell: writes a folder of files, each readable by its owner only. Passwords are made
here, stand in clear in `secrets.json` alone, and are hashed everywhere else. Whoever
has a password already keeps it, so that a client can be added to a running site.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from broker.access import User, acl_text, user
from broker.errors import RoadMisuse
from broker.mosquitto_conf import MosquittoConf, Purpose
from broker.passwords import password_file_text
from broker.private_file import write_private
from schemas.topics import Role

_PASSWORD_BYTES = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Production:
    """One production broker and who may use it."""

    purpose: Purpose
    users: tuple[User, ...]
    port: int
    bind: str | None

    @classmethod
    def of(
        cls, purpose: Purpose, *, site: str | None, users: Sequence[str], port: int, bind: str | None
    ) -> Production:
        """Read `ROLE:ID` texts. Raises RoadMisuse or schemas' TopicError."""
        known = tuple(_user(text, site=site) for text in users)
        twice = {each.name for each in known if sum(other.name == each.name for other in known) > 1}
        if twice:
            raise RoadMisuse(f"named twice: {', '.join(sorted(twice))}")
        return cls(purpose=purpose, users=known, port=port, bind=bind)

    @property
    def names(self) -> list[str]:
        """User names as clients log in with them."""
        return [each.name for each in self.users]

    def conf(self, folder: Path) -> MosquittoConf:
        """Return the configuration for files that lie in `folder`."""
        return MosquittoConf(
            purpose=self.purpose,
            port=self.port,
            bind=self.bind,
            persistence_dir=folder / "store" if self.purpose is Purpose.CONTROL else None,
            acl_file=folder / "acl",
            password_file=folder / "passwords",
        )


def write_production(production: Production, folder: Path, *, rotate: bool = False) -> list[Path]:
    """Write everything to `folder` and return the paths; with `rotate`, nobody keeps an old password.

    `secrets.json` gets the passwords made here, beside those that nobody fetched from it yet.
    Raises OSError, RoadMisuse.
    """
    if not production.users:
        raise RoadMisuse("nobody could log in: name clients with --user ROLE:ID")
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    if production.purpose is Purpose.CONTROL:
        (folder / "store").mkdir(exist_ok=True)
    kept = {} if rotate else _kept(folder / "passwords", production.names)
    made = {name: secrets.token_urlsafe(_PASSWORD_BYTES) for name in production.names if name not in kept}
    waiting = {name: secret for name, secret in _waiting(folder / "secrets.json").items() if name in kept}
    texts = {
        "mosquitto.conf": production.conf(folder).text(),
        "acl": acl_text(production.users),
        # The secrets first: a hash whose password is nowhere would lock its client out.
        **({"secrets.json": json.dumps({**waiting, **made}, indent=2) + "\n"} if made else {}),
        "passwords": "".join(f"{line}\n" for line in kept.values()) + password_file_text(made),
    }
    return [write_private(folder / name, text) for name, text in texts.items()]


def _kept(passwords: Path, names: Sequence[str]) -> dict[str, str]:
    """Return the lines of those in `names` who have one; a client no longer named loses its own."""
    if not passwords.exists():
        return {}
    lines = {line.partition(":")[0]: line for line in passwords.read_text(encoding="utf-8").splitlines()}
    return {name: lines[name] for name in names if name in lines}


def _waiting(path: Path) -> dict[str, str]:
    """Return what an earlier call left to be handed out. Raises RoadMisuse."""
    if not path.exists():
        return {}
    try:
        waiting = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RoadMisuse(f"{path} cannot be read ({error}): delete it, or move it away") from error
    if not isinstance(waiting, dict):
        raise RoadMisuse(f"{path} is not a list of passwords by name: delete it, or move it away")
    return waiting


def _user(text: str, *, site: str | None) -> User:
    role, colon, own_id = text.partition(":")
    roles = [each.value for each in Role]
    if not colon or role not in roles:
        raise RoadMisuse(f"cannot read the user {text!r}: write ROLE:ID with one of {', '.join(roles)}")
    return user(Role(role), own_id, site=site)
