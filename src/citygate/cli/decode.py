"""`citygate decode`: frames of meters as values, and one frame taken apart byte by byte.

The protocols and their codecs stand in the table of `wire/protocol.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from citygate.wire import application, protocol
from citygate.wire.protocol import Sent
from citygate.wire.telegram import Outcome, Part, Telegram, Unread, Value

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_DECODER = msgspec.json.Decoder(dict[str, Any])
_STYLES = {
    "link": "cyan",
    "extended link": "blue",
    "authentication": "magenta",
    "transport": "yellow",
    "records": "green",
}


class Form(StrEnum):
    """How frames come in and values go out."""

    TREE = "tree"
    JSONL = "jsonl"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(decode)


def decode(
    frame: Annotated[str | None, typer.Argument(metavar="[HEX]", help="One frame as hexadecimal digits.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="Key of the meter as hexadecimal digits.")] = None,
    name: Annotated[
        str | None, typer.Option("--protocol", help="Protocol of the frame; guessed from its bytes when absent.")
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="jsonl reads requests from standard input.")] = Form.TREE,
) -> None:
    """Say what a meter's frame means, and explain what of it cannot be read.

    A frame is taken apart byte by byte. With --format jsonl and no frame, each line of standard input is an object
    with id, protocol, hex or text, and key where the frame is encrypted; one line comes out for each.
    """
    if frame is None:
        if form is not Form.JSONL:
            raise typer.BadParameter("give a frame, or --format jsonl and frames on standard input")
        for line in answers(sys.stdin.buffer):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        return
    sent, fault = _sent({"hex": frame, "key": key})
    chosen = name or protocol.guess(sent.raw)
    if form is Form.JSONL:
        outcome = fault or protocol.decode(chosen, sent)
        typer.echo(_ENCODER.encode(_answer(None, outcome)).decode())
    else:
        parts, outcome = ((), fault) if fault else protocol.take_apart(chosen, sent)
        Console(soft_wrap=True, highlight=False).print(_tree(chosen, parts, outcome))
    if isinstance(outcome, Unread):
        raise typer.Exit(1)


def answers(lines: Iterable[bytes]) -> Iterator[str]:
    """Yield one line of JSON for each line of a request, in order, whatever the request."""
    for line in lines:
        try:
            request = _DECODER.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield _ENCODER.encode(_answer(None, Unread("line_wrong", f"no JSON object: {error}"))).decode()
            continue
        yield _ENCODER.encode(_answer(request.get("id"), _outcome(request))).decode()


def _outcome(request: dict[str, Any]) -> Outcome:
    name = request.get("protocol")
    if not isinstance(name, str):
        return Unread("line_wrong", "protocol is absent or no text")
    sent, fault = _sent(request)
    if name in protocol.CODECS and fault:
        return fault
    try:
        return protocol.decode(name, sent)
    except Exception as error:  # noqa: BLE001  (one line out for each line in, even if a codec breaks its promise)
        return Unread("codec_failed", f"the codec of {name} failed: {type(error).__name__}")


def _sent(request: dict[str, Any]) -> tuple[Sent, Unread | None]:
    digits, text, key = request.get("hex"), request.get("text"), request.get("key")
    nothing = Sent(b"")
    if not isinstance(digits, str) and not isinstance(text, str):
        return nothing, Unread("line_wrong", "neither hex nor text is given")
    try:
        raw = bytes.fromhex(digits) if isinstance(digits, str) else str(text).encode()
    except ValueError:
        return nothing, Unread("hex_wrong", "hex is not an even number of hexadecimal digits")
    try:
        secret = bytes.fromhex(key) if key else None
    except (ValueError, TypeError):
        return nothing, Unread("key_wrong", "the key is not an even number of hexadecimal digits")
    return Sent(raw, secret), None


def _answer(request_id: Any, outcome: Outcome) -> dict[str, Any]:
    unread = outcome if isinstance(outcome, Unread) else None
    telegram = outcome if isinstance(outcome, Telegram) else unread.partial if unread else None
    told = telegram or Telegram()
    answer: dict[str, Any] = {
        "id": request_id,
        "ok": unread is None,
        "manufacturer": told.manufacturer,
        "serial": told.serial,
        "version": told.version,
        "medium": told.medium,
        "time": told.time,
        "values": [] if unread else [_register(value) for value in told.values],
        "status": list(told.status),
        "security": {"mode": told.security.mode, "verified": told.security.verified},
        "notes": list(told.notes),
    }
    if unread:
        answer |= {"reason": unread.reason, "detail": unread.detail, "at_b": unread.at_b}
    return answer


def _register(value: Value) -> dict[str, Any]:
    row = {
        "name": value.name,
        "value": _plain(value.value),
        "unit": value.unit,
        "storage": value.storage,
        "tariff": value.tariff,
        "function": value.function,
        "basis": value.basis,
        "subunit": value.subunit,
    }
    return row | ({"note": value.note} if value.note else {})


def _plain(value: int | Decimal | str | None) -> int | Decimal | str | None:
    """The value as JSON bears it: whole numbers beyond 64 bits as digits."""
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value)
    return value


def _tree(name: str, parts: tuple[Part, ...], outcome: Outcome) -> Tree:
    tree = Tree(Text(_title(name, outcome), style="bold"))
    branches: dict[str, Tree] = {}
    for part in parts:
        style = _STYLES.get(part.layer, "")
        if part.layer not in branches:
            branches[part.layer] = tree.add(Text(part.layer, style=f"bold {style}"))
        line = Text(f"{part.start_b:4}  ", style="dim")
        line.append(part.raw.hex(" ").upper(), style=style).append(f"  {part.text}")
        branches[part.layer].add(line)
    if isinstance(outcome, Unread):
        why = tree.add(Text(f"cannot be read from byte {outcome.at_b} on: {outcome.reason}", style="bold red"))
        why.add(Text(outcome.detail, style="red"))
        return tree
    if not parts:
        registers = tree.add(Text("values", style="bold green"))
        for value in outcome.values:
            registers.add(Text(application.describe(value)))
    security = "verified" if outcome.security.verified else "unverified"
    tree.add(Text(f"security: {outcome.security.mode}, {security}"))
    for label, lines in (("status", outcome.status), ("note", outcome.notes)):
        for line_of in lines:
            tree.add(Text(f"{label}: {line_of}", style="yellow"))
    return tree


def _title(name: str, outcome: Outcome) -> str:
    telegram = outcome.partial if isinstance(outcome, Unread) else outcome
    if telegram is None:
        return name
    said = (telegram.manufacturer, telegram.serial, telegram.medium, telegram.time)
    return f"{name}: " + " ".join(str(each) for each in said if each is not None)
