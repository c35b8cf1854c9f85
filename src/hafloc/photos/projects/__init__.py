"""Positions that other programs wrote down: projects of photogrammetry, layers, sidecars."""

from hafloc.photos.projects.reading import read_table

__all__ = ["read_table"]
