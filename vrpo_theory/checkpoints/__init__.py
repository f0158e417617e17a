"""Checkpoints on disk and models around them: what every family of models needs, and no family itself."""
