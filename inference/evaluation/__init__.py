"""The hand task over real photos and videos, scored against reference answers."""
