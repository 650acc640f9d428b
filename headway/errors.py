"""Vocabulary: what can go wrong at the door. Standard library only: the bootstrap raises these.

HeadwayError
├── DemoError       the demo cannot go on
├── ChildError      a room's process could not be started, ended early or stayed silent
├── SetupError      the virtual environment could not be completed
├── DebianError     a Debian package could not be downloaded or taken apart
└── ProvisionError  Mosquitto, models or photos could not be had

Every text names the fix.
"""


class HeadwayError(Exception):
    """Base of everything that the door raises."""


class DemoError(HeadwayError):
    """The demo cannot go on."""


class ChildError(HeadwayError):
    """A room's process could not be started, ended early or stayed silent."""


class SetupError(HeadwayError):
    """The virtual environment could not be completed."""


class DebianError(HeadwayError):
    """A Debian package could not be downloaded or taken apart."""


class ProvisionError(HeadwayError):
    """Mosquitto, the models or the photos could not be had."""
