"""Training: from start weights and photos to a checkpoint."""
