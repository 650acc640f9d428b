"""Core: the folders of imported models and built packages in this machine's cache."""

from collections.abc import Mapping
from pathlib import Path

from schemas.places import cache_dir


def models_dir(environ: Mapping[str, str], /) -> Path:
    """Imported model files."""
    return cache_dir(environ) / "models"


def packages_dir(environ: Mapping[str, str], /) -> Path:
    """Built packages, one folder per digest."""
    return cache_dir(environ) / "packages"
