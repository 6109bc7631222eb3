"""Training data as others publish them, read unchanged into demonstrations and problems."""
