"""The model card: prose in template.md, every number from the JSON files of a run (build.py)."""
