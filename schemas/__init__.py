"""The language: messages, topics and documents of every conversation."""
