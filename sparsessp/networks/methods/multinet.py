"""Multi-Net: an unconditioned network for each structure (section 2.1; the baseline of Table 7).

The paper takes FNet's own network; here every method shares one U-Net, so that only the
conditioning differs.
"""

from sparsessp.networks.method import Method


class Conditioning(Method):
    """No conditioning, twelve networks."""

    per_structure = True
