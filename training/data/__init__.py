"""Records: loading and validating (medquad), splitting without leakage (splits), rendering (examples)."""
