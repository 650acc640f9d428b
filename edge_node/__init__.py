"""The headset: every frame gets exactly one answer."""
