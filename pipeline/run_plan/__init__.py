"""Run the plan with several experiments at a time: on the cores of this machine, on GPUs, or on a cluster."""
