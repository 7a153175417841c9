"""What `scripts/benchmark.py` measures: recipes (training), asking (scoring), commands, memory, operations; table."""
