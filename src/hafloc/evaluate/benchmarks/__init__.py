"""The benchmarks: how each reads its lists, one kind of data set a file."""
