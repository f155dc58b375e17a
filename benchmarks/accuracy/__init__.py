"""Accuracy of baselines and of the product under one protocol: `python -m benchmarks.accuracy --help`."""
