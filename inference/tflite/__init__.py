"""Models in .tflite files: read, folded, written, and cut into parts."""
