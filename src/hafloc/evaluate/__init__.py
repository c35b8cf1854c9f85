"""Benchmarks under their exact protocols: data sets, metrics, tables."""
