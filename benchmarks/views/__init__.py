"""What learn_views.py and learn_masks.py are made of."""
