"""Users' own training images, listed in a CSV file in their folder; see docs/own-training-data.md."""
