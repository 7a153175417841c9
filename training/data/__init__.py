"""Records: read and validate (load), split without leakage (splits), render as examples (examples)."""
