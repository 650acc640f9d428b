"""A float model made int8: the search, the photos it calibrates on, and what its outputs must keep."""
