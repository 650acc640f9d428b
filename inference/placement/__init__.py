"""Which parts of a model run on the headset and which on a worker, decided from profiles and the road."""
