"""The commands ``headway model …`` and ``headway eval``: options in, words or JSON out; the work lies elsewhere."""
