"""A discrete-event world on a virtual clock around the real headset and worker cores."""
