"""The plan: its parameters, its grid of experiments, and estimates of its time and disk space."""
