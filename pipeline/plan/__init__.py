"""The plan: parameters, the grid of experiments, and what it will take."""
