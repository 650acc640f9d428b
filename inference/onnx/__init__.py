"""Models in .onnx files: read, given shapes, cut into parts, and quantised."""
