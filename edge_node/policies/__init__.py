"""How a headset decides where a frame is computed, one policy a file. Pure."""
