"""Bridges to what factories have."""
