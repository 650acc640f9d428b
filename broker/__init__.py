"""The road: one session per node and kind of traffic over any MQTT broker."""
