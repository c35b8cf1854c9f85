"""How well a network finds places: exact search, who is near whom, and scores of rankings."""
