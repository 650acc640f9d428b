"""Tasks: images or audio in, typed results out."""
