"""One file a source; each reads its own format into Frames."""
