"""Benchmarks: speed and memory compared with a straightforward implementation in the same run."""
