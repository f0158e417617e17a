"""The toy language's pair of models, from random weights to the packaged files."""
