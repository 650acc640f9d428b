"""The gate that an int8 model passes or not, judged beside its float original, with every reason in words."""
