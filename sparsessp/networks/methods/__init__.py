"""Task-conditioning methods, one file each; `sparsessp.networks.method` states their contract."""
