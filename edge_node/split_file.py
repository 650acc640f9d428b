"""Shell: a split config written as a file, as deployments hold it. Refuses what is no YAML or JSON mapping."""

from pathlib import Path
from typing import Any

import yaml

from edge_node.errors import SettingsError

MAX_BYTES = 64 * 1024


def read_split_file(path: Path) -> dict[str, Any]:
    """The fields that stand in it; whether they may stand is judged by ``SplitConfig``.

    Raises:
        SettingsError: it cannot be read, is too large, or holds no mapping.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise SettingsError(f"--split-config {path} has more than {MAX_BYTES} bytes: is it another file?")
        written = yaml.safe_load(content.decode())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"--split-config {path} cannot be read: {error}") from error
    if not isinstance(written, dict):
        raise SettingsError(
            f"--split-config {path} must hold a YAML or JSON mapping, such as {{policy: deadline}}"
        )
    return written
