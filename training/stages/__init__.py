"""The training stages, in the order in which they run."""
