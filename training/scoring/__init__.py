"""Scoring without files: ROUGE (rouge), what ROUGE can't tell (rates), answers that need no model (baselines),
and how certain the figures are (intervals)."""
