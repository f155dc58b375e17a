"""Offline training: interactions in, a three-stage model out."""
