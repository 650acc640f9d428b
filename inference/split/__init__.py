"""A model in parts: what is cut where, what crosses there as bytes, and the parts opened again."""
