"""What several tests share: small fields, archives, a server and clones of this checkout."""
