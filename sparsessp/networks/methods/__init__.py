"""Task-conditioning methods, one file each; the contract is in `sparsessp.networks.method`."""
