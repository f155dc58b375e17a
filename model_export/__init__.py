"""From a trained run to a bundle: ONNX graphs, tables and the manifest that a service loads."""
