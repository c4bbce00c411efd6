"""What a recording is, by its own headers."""
