"""Errors of the senses; each means that the calling code or a peer's text is wrong, never lost data.

ObservabilityError
├── LogError      a log level that does not exist
├── MetricsError  a metric used against its kind, backwards, or without bounds
└── TraceError    a trace context that the W3C specification does not allow
"""


class ObservabilityError(Exception):
    """Base of every error this room raises."""


class LogError(ObservabilityError):
    """A log level that does not exist; lists those that do."""


class MetricsError(ObservabilityError):
    """A metric used against its kind, backwards, or without bounds; says which."""


class TraceError(ObservabilityError):
    """A trace context that the W3C specification does not allow; says what was wrong."""
