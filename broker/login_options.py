"""Vocabulary: the two options with which every command logs in to a broker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

UsernameOption = Annotated[
    str | None,
    typer.Option("--username", envvar="HEADWAY_MQTT_USERNAME", help="User name at the broker: ROLE.ID."),
]
PasswordFileOption = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        envvar="HEADWAY_MQTT_PASSWORD_FILE",
        help="File with the password, readable by its owner only (chmod 600).",
    ),
]
