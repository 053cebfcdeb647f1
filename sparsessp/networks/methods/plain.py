"""Plain: one unconditioned network for all structures, the control of the other methods."""

from sparsessp.networks.method import Method


class Plain(Method):
    """No conditioning."""
