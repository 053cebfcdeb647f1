"""Speed and memory, ours beside a straightforward version in the same run."""
