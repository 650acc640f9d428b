"""Everything the road can refuse, and what to do about it.

Vocabulary. The tree separates what we did wrong from what the other side did::

    RoadError
    ├── RoadMisuse            a caller broke the contract of this room
    ├── BrokerUnavailable     no broker could be found, started or reached
    │   ├── MosquittoMissing  no mosquitto program on this machine
    │   └── MosquittoFailed   it is here, but did not start or does not accept
    └── BrokerRefused         the broker answered, and said no
"""

from __future__ import annotations


class RoadError(Exception):
    """Base of every error that this room raises."""


class RoadMisuse(RoadError, ValueError):  # noqa: N818  the name says who is at fault
    """A caller passed something that the road cannot carry."""


class BrokerUnavailable(RoadError):  # noqa: N818  a state of the world, not of the code
    """No broker could be found, started or reached."""


class MosquittoMissing(BrokerUnavailable):
    """There is no mosquitto program on this machine."""


class MosquittoFailed(BrokerUnavailable):
    """Mosquitto is here but did not start or does not accept connections."""


class BrokerRefused(RoadError):  # noqa: N818  the broker's answer, in its own words
    """The broker answered and refused."""
