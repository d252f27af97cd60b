"""The command line: `citygate COMMAND`, exit codes 0 ok, 1 found problems, 2 wrong usage."""

from __future__ import annotations

import sys

import typer

from citygate.cli import (
    cases,
    decode,
    demo,
    detect,
    export,
    ingest,
    init,
    quarantine,
    query,
    retention,
    serve,
    simulate,
    status,
    validate,
)
from citygate.errors import CitygateError

#: Exit code after Ctrl-C: 128 and the number of the signal.
_INTERRUPTED = 130

app = typer.Typer(
    name="citygate",
    help="Gas smart metering for a city: readings in, validated, kept with every revision, watched, and seen.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (
    demo,
    init,
    simulate,
    ingest,
    quarantine,
    validate,
    query,
    detect,
    cases,
    export,
    retention,
    status,
    serve,
    decode,
):
    command.register(app)


def main() -> None:
    """Run the command line; an error that a user can act on is one line and exit code 2 (or 1 when it may pass)."""
    try:
        app()
    except CitygateError as error:
        sys.stderr.write(f"citygate: {error} [{error.code}]\n")
        sys.exit(1 if error.retryable else 2)
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"citygate: {named}{error.strerror or error} [file]\n")
        sys.exit(2)
    except SystemExit as leave:
        if leave.code == _INTERRUPTED:
            sys.stderr.write("citygate: interrupted; what was acknowledged is kept, the same command goes on\n")
        raise
