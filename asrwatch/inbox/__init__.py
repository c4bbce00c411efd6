"""Which files are there, and which have settled."""
