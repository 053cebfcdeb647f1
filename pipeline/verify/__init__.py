"""Check that a report belongs to its settings and that its tables follow from its scores, without training."""
