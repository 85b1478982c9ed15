"""A configuration for one file: what its columns suggest, each guess with its reason."""
