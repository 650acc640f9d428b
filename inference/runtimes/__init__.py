"""Runtimes behind one Protocol."""
