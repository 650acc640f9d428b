"""The senses: logs, metrics and traces."""
