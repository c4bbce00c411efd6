"""`asrwatch sandbox`: a DashScope of one's own."""

from pathlib import Path
from typing import Annotated

import typer

from asrwatch.sandbox import read_knobs, serve

__all__ = ["sandbox"]


def sandbox(
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help="Port on 127.0.0.1; 0 for a free one.")
    ] = 8765,
    knobs: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="How it behaves, such as queue_time=5s or rate_limits=false; again for more. "
            "A wrong name lists all there are.",
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder",
            metavar="DIR",
            help="Where uploads and results are kept. Default: a temporary folder, removed at the end.",
            file_okay=False,
        ),
    ] = None,
) -> None:
    """Run a local DashScope that really listens.

    For trying things out without a key or a network. Set cloud.base_url to the address it prints. Keys
    and recordings stay on this machine.
    """
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    serve(port=port, knobs=read_knobs(knobs or ()), folder=folder, say=typer.echo)
