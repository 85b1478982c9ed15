"""A pass over data files that holds one block at a time and collects whatever is wrong."""
