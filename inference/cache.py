"""Core: where this machine keeps imported models and built packages."""

from collections.abc import Mapping
from pathlib import Path


def cache_dir(environ: Mapping[str, str], /) -> Path:
    """``$HEADWAY_CACHE``, else ``$XDG_CACHE_HOME/headway``, else ``~/.cache/headway``."""
    if chosen := environ.get("HEADWAY_CACHE"):
        return Path(chosen)
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "headway"


def models_dir(environ: Mapping[str, str], /) -> Path:
    """Imported model files."""
    return cache_dir(environ) / "models"


def packages_dir(environ: Mapping[str, str], /) -> Path:
    """Built packages, one folder per digest."""
    return cache_dir(environ) / "packages"
