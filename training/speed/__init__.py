"""The benchmark: our training and scoring beside the first users' and trl's (scripts/benchmark.py)."""
