"""The numbers printed in the paper."""
