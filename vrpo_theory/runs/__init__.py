"""A user's run: inputs, recorded evaluations, provenance, console output, and processes that share the work."""
