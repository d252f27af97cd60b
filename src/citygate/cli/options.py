"""Options that many commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from citygate.report.table import Format

StoreOption = Annotated[Path, typer.Option("--store", help="Folder of the city's store.", file_okay=False)]
FormatOption = Annotated[Format, typer.Option("--format", help="How to write the rows.")]
OutOption = Annotated[
    Path | None, typer.Option("--output", "-o", help="File to write; standard output when absent.", dir_okay=False)
]
