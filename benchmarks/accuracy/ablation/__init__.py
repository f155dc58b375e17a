"""What each part of the product is worth: `python -m benchmarks.accuracy.ablation --help`."""
