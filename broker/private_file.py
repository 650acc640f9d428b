"""Files that only their owner may read: configurations, access lists, passwords.

Shell: owns nothing; writes beside the target and renames, so that a reader never
sees half a file, and never gives it wider rights than 0600, not even for a moment.
"""

from __future__ import annotations

import os
from pathlib import Path


def write_private(path: Path, text: str) -> Path:
    """Replace `path` by `text`, readable by its owner only. Raises OSError."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return path
