"""The networks, one a file, and their checkpoints."""

from hafloc.nn.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from hafloc.nn.description import Description, KeyPoints, LevelDescription
from hafloc.nn.haf import HAF, LEVELS, HAFOptions
from hafloc.nn.vgg import VGG16, load_start_weights
from hafloc.nn.whitening import Whitening, pca_whitening

__all__ = [
    "HAF",
    "LEVELS",
    "VGG16",
    "Checkpoint",
    "Description",
    "HAFOptions",
    "KeyPoints",
    "LevelDescription",
    "Whitening",
    "load_checkpoint",
    "load_start_weights",
    "pca_whitening",
    "save_checkpoint",
]
