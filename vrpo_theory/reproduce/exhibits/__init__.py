"""The exhibits, one each: a file, or a folder where it has helpers of its own."""
