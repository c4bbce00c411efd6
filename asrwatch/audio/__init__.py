"""What a recording is, told from its headers, or decoded in a child process where they do not tell enough."""
