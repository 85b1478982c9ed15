"""Drafts of configurations: what the columns of a file suggest, each guess with its reason."""
