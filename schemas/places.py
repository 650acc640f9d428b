"""Core: where this machine keeps models, photos, packages and unpacked programs of the project.

The rule stands here for every room, on the lowest floor because ``schemas.generate`` needs it too. Only
``headway.setup`` repeats it: that runs before anything is installed and imports no room; a test compares them.
"""

from collections.abc import Mapping
from pathlib import Path


def cache_dir(environ: Mapping[str, str], /) -> Path:
    """``$HEADWAY_CACHE``, else ``$XDG_CACHE_HOME/headway``, else ``~/.cache/headway``."""
    if chosen := environ.get("HEADWAY_CACHE"):
        return Path(chosen)
    if base := environ.get("XDG_CACHE_HOME"):
        return Path(base) / "headway"
    return Path(environ.get("HOME") or Path.home()) / ".cache" / "headway"
