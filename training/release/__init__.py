"""From a finished run to what is pushed: licence texts (licence) and the bundle's files (files)."""
