"""Training: from start weights and photos to a checkpoint."""

from hafloc.train.loop import Result, train
from hafloc.train.recipe import Recipe, read_recipe

__all__ = ["Recipe", "Result", "read_recipe", "train"]
