"""Models: load them (load), train (trainer), answer in batches (generate)."""
