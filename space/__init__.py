"""The Space: pushed alone, imports nothing of ours outside this folder.

`contract.py` and `prompt.py` are also what training and scoring import: what is trained is encoded by the very
code that serves.
"""
