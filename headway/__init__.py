"""The door: the one command."""
