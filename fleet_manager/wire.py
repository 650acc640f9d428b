"""Vocabulary between the office and its gateway: what the office wants said to a device."""

from typing import Protocol

from schemas.documents import Ack, Command, Desired


class Wire(Protocol):
    """Says things to devices. Never blocks; what is lost on the way is said again by its owner."""

    def desire(self, desired: Desired) -> None:
        """Publish a device's desired document, retained."""

    def acknowledge(self, device: str, ack: Ack) -> None:
        """Tell a device that its terminal report is stored."""

    def command(self, device: str, command: Command) -> bool:
        """Ask a device for something; False where the road did not take it, and nobody says it again."""


class SilentWire:
    """A wire to nobody: for an office without a gateway."""

    def desire(self, desired: Desired) -> None:
        """Say nothing."""

    def acknowledge(self, device: str, ack: Ack) -> None:
        """Say nothing."""

    def command(self, device: str, command: Command) -> bool:  # noqa: ARG002  it has nobody to tell
        """Say nothing, and say so."""
        return False
