"""2D backbones, one file each; the contract is in `sparsessp.networks.backbone`."""
