"""Multi-Net: an unconditioned network for each structure (section 2.1; the baseline of Table 7).

The paper uses FNet's own network. Here all methods share one U-Net, so that they differ in conditioning only
(docs/methods.md#multi-net).
"""

from sparsessp.networks.method import Method


class MultiNet(Method):
    """No conditioning, one network per structure."""

    per_structure = True
