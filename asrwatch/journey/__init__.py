"""One recording's journey, from a settled file to delivered transcripts."""
