"""Runs the command line: `python -m asrwatch`."""

from asrwatch.cli import main

if __name__ == "__main__":
    main()
