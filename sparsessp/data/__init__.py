"""Volumes, splits, samples and crops, and where they come from."""
