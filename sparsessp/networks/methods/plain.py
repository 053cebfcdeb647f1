"""Plain: one network for all structures that is told no task; the control of the others."""

from sparsessp.networks.method import Method


class Conditioning(Method):
    """No conditioning."""
