"""The check whether a model in parts answers as it does in one piece, byte for byte."""
