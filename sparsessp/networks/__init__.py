"""Networks: a residual U-Net in four topologies, six task-conditioning methods, three interpolations."""
