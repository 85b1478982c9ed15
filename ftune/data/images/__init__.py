"""Photographs: decoded once, kept as bytes, augmented in batches."""
