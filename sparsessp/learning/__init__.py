"""Training, prediction and evaluation of networks."""
