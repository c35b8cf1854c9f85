"""The benchmarks: where they come from, their lists and loaders, one family a file."""
