"""A model of any file format as one plain flow of tensors: where it may be cut, and what a part of it needs."""
