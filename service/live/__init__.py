"""What changes between two trainings: items that come, change and go, and what follows what."""
