"""Sizes that files declare, checked before memory is taken: one file for each kind of claim."""
