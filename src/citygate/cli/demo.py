"""`citygate demo`: a real town, a winter month in fast motion, then live; leaks are found while you look."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from citygate.report.table import Format


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(demo)


def demo(
    store: Annotated[Path | None, typer.Option(help="Folder to keep the town in; a temporary one when absent.")] = None,
    once: Annotated[bool, typer.Option("--once", help="No browser: replay, compare with the truth, and end.")] = False,
    days: Annotated[
        int, typer.Option(help="Days to replay; nothing is planted in the first 14, in which detectors learn.", min=16)
    ] = 42,
    seed: Annotated[int, typer.Option(help="Another number makes other leaks.", min=0)] = 1,
    pace: Annotated[float, typer.Option(help="Seconds that an hour of the town takes, live.", min=0.05)] = 1.0,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65_535)] = 8080,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
    form: Annotated[
        Format, typer.Option("--format", help="How --once writes its result: table or json.")
    ] = Format.TABLE,
) -> None:
    """See a town's gas meters being read, checked, stored and watched, with leaks found while you look.

    The town is the gas network of Schutterwald with 1,506 houses. Four of them carry meters that were really measured;
    the others are modelled from standard load profiles on real weather. Leaks, faults and radio loss are planted, and
    the truth is known, so --once can say how good the detection was.
    """
    # Imported here: the server and its charts take seconds to load, and other commands do not need them.
    from citygate.cli.townlife import replay_once, run_live  # noqa: PLC0415

    kept = store or Path(tempfile.mkdtemp(prefix="citygate-demo-")) / "town"
    try:
        if once:
            replay_once(kept, days, seed, form)
        else:
            run_live(kept, (days, seed), pace, (host, port), open_browser=browser)
    finally:
        if store is None:
            shutil.rmtree(kept.parent, ignore_errors=True)
