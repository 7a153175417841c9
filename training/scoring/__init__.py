"""Scoring without models: from answers, or likelihoods, to the figures, tables, plots and pages that people read."""
