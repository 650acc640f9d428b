"""Migrations of the office's database, run at every start."""
