"""What a network costs: counted, and measured on this machine."""
