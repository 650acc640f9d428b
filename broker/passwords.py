"""Password file entries as `mosquitto_passwd` writes them: PBKDF2 with SHA-512.

Pure core but for the salt. Only hashes leave this file.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping

from broker.errors import RoadMisuse

_ITERATIONS = 101  # what Mosquitto 2.0 writes; generated passwords are long enough to need no more
_SALT_BYTES = 12
_SHORTEST_PASSWORD = 8


def password_entry(username: str, password: str, *, salt: bytes | None = None) -> str:
    """Return one line `user:$7$iterations$salt$hash`. Raises RoadMisuse."""
    if not username or ":" in username or not username.isprintable():
        raise RoadMisuse(f"{username!r} is no user name for a password file: no colon, printable")
    if len(password) < _SHORTEST_PASSWORD:
        raise RoadMisuse(f"the password of {username!r} is shorter than {_SHORTEST_PASSWORD} characters")
    salt = os.urandom(_SALT_BYTES) if salt is None else salt
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS)
    texts = (base64.b64encode(raw).decode("ascii") for raw in (salt, digest))
    return f"{username}:$7${_ITERATIONS}${'$'.join(texts)}"


def password_file_text(users: Mapping[str, str]) -> str:
    """Return the file for all of `users` (name to password)."""
    return "".join(f"{password_entry(name, password)}\n" for name, password in sorted(users.items()))
