"""The reference of the command line, written from the program itself."""  # noqa: INP001 - a script beside build.py

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, get_args, get_origin

from typer.main import get_command

from citygate.cli.main import app

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = """# Commands

Written from the program by `make docs`; change the words in `src/citygate/cli`, not here.

Exit codes: 0 all is well, 1 something was found, refused or may be tried again, 2 wrong usage or a
[request that cannot be met](errors.md). `-h` or `--help` works everywhere. Times are written as a gas day
(`2026-01-31`), as local time of the city (`2026-01-31T06:00`) or with an offset (`2026-01-31T06:00:00+01:00`).
"""


def commands() -> Iterator[tuple[str, Any]]:
    """Yield every command with its full name, such as ``citygate query totals``, sorted by name."""
    yield from _below("citygate", get_command(app))


def reference() -> str:
    """Return the page as Markdown."""
    return "\n".join([_HEAD, *(_section(name, command) for name, command in commands())])


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", {})
    if not inner or getattr(command, "invoke_without_command", False):
        yield name, command
    for key in sorted(inner):
        yield from _below(f"{name} {key}", inner[key])


def _section(name: str, command: Any) -> str:
    arguments = [each for each in command.params if not each.opts[0].startswith("-")]
    options = [each for each in command.params if each.opts[0].startswith("-") and each.name != "help"]
    usage = " ".join([name, *(_shown(each) for each in arguments), *(["[OPTIONS]"] if options else [])])
    lines = [f"## {name}", "", f"`{usage}`", "", _prose(command.help or ""), ""]
    if arguments or options:
        lines += ["| argument or option | meaning | default |", "| --- | --- | --- |"]
        lines += [f"| {_names(each)} | {_meaning(each)} | {_default(each)} |" for each in (*arguments, *options)]
        lines.append("")
    return "\n".join(lines)


def _shown(argument: Any) -> str:
    name = (argument.metavar or argument.name.upper()).replace("[", "").replace("]", "").removesuffix("...")
    name = f"{name}..." if argument.nargs == -1 else name
    return name if argument.required else f"[{name}]"


def _names(parameter: Any) -> str:
    if not parameter.opts[0].startswith("-"):
        return f"`{_shown(parameter)}`"
    return ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))


def _meaning(parameter: Any) -> str:
    text = _prose(parameter.help or "").replace("\n", " ").replace("|", "\\|")
    kind = parameter.type_descriptor.annotation
    kind = get_args(kind)[0] if get_origin(kind) is list else kind
    if isinstance(kind, type) and issubclass(kind, Enum):
        text += " One of " + ", ".join(f"`{each.value}`" for each in kind) + "."
    if parameter.min is not None or parameter.max is not None:
        low, high = ("" if edge is None else f"{edge:g}" for edge in (parameter.min, parameter.max))
        text += f" From {low} to {high}." if low and high else f" At least {low}." if low else f" At most {high}."
    return text


def _default(parameter: Any) -> str:
    if parameter.required:
        return "needed"
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    value = parameter.default.value if isinstance(parameter.default, Enum) else parameter.default
    return (
        ""
        if value is None or value is False or value == "" or callable(value)
        else f"`{'yes' if value is True else value}`"
    )


def _prose(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().splitlines())
