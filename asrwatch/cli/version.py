"""`asrwatch version`: which asrwatch this is."""

import typer

from asrwatch import __version__

__all__ = ["version"]


def version() -> None:
    """Print the version."""
    typer.echo(__version__)
