"""2D backbones, one file each, found by name; the contract is in `sparsessp.networks.backbone`."""
