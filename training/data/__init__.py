"""Records: loading and validating (load), splitting without leakage (splits), rendering (examples)."""
