"""The online service: HTTP in front, ONNX Runtime behind, histories in Redis."""
