"""The shape of the source: small files, small bodies, names that say what and in which unit."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "citygate"
FILES = sorted(SOURCE.rglob("*.py"))
LINES_MAX, BODY_LINES_MAX, PUBLIC_METHODS_MAX = 400, 50, 10
BANNED = [
    "util",
    "helper",
    "common",
    "core",
    "base",
    "manager",
    "handler",
    "processor",
    "service",
    "misc",
    "stuff",
    "data",
    "info",
    "wrapper",
    "factory",
    "impl",
]
UNITS = [
    "us",
    "s",
    "h",
    "hour",
    "hours",
    "day",
    "days",
    "l",
    "lph",
    "lps",
    "pa",
    "mk",
    "mv",
    "wh",
    "kwh",
    "m3",
    "e5",
    "e6",
    "km",
    "m",
    "mm",
    "m2",
    "w",
    "k",
    "c",
    "lat",
    "lon",
    "deg",
    "px",
    "b",
    "bytes",
    "mib",
    "ratio",
    "share",
    "count",
    "rows",
    "number",
    "code",
    "codes",
    "index",
    "place",
    "seed",
    "port",
    "rate",
    "sigma",
    "lag",
    "window",
    "block",
    "part",
    "commit",
    "level",
    "mark",
    "min",
    "max",
    "low",
    "high",
    "first",
    "last",
]


#: Numbers without a unit: counts of things, places in an order, and figures that statistics leaves bare.
PLAIN = {
    "pace",
    "version",
    "kind",
    "access",
    "control",
    "counter",
    "offset",
    "storage",
    "tariff",
    "exponent",
    "subunit",
    "mode",
    "suite",
    "length",
    "meters",
    "block_meters",
    "meters_registered",
    "chunks",
    "read",
    "stored",
    "duplicate",
    "duplicates",
    "revised",
    "refused",
    "unread",
    "tried",
    "written",
    "due",
    "lost",
    "corrected",
    "per_class",
    "per_kind",
    "per_meter",
    "gaps_per_length",
    "raised",
    "withdrawn",
    "derived",
    "rounds",
    "first_row",
    "row",
    "skip",
    "slot",
    "position",
    "height",
    "digits",
    "limit",
    "after",
    "meter",
    "number",
    "status",
    "sig",
    "start",
    "shift",
    "slack",
    "threshold",
    "alarm",
    "false_alarm",
    "miss",
    "wanted",
    "weight",
    "factor",
    "limit_factor",
    "mild_class",
    "building_class",
    "rollover_from",
    "exchange_to",
    "overlap_tolerance",
    "spike_floor",
    "stuck_repeats",
    "zero_run_chance",
    "apportioned_correlation",
    "bad_place_lost",
    "a",
    "d",
}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(module: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    start = node.body[0].end_lineno + 1 if ast.get_docstring(node) else node.body[0].lineno
    return node.end_lineno - start + 1


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_files_and_bodies_are_small(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= LINES_MAX
    long = [
        f"{node.name}: {body_lines(node)} lines" for node in functions(tree(path)) if body_lines(node) > BODY_LINES_MAX
    ]
    assert not long
    wide = [
        node.name
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef)
        and sum(isinstance(part, ast.FunctionDef) and not part.name.startswith("_") for part in node.body)
        > PUBLIC_METHODS_MAX
    ]
    assert not wide


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_names_say_what_a_thing_is(path):
    assert path.stem not in BANNED
    classes = [node.name for node in ast.walk(tree(path)) if isinstance(node, ast.ClassDef)]
    words = {word.lower() for name in classes for word in re.findall(r"[A-Z][a-z]+", name)}
    assert not words & {"util", "helper", "manager", "handler", "processor", "service", "wrapper", "factory", "impl"}


def test_no_mark_of_unfinished_work():
    marks = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError|unittest\.mock)\b")
    assert not [str(path) for path in FILES if marks.search(path.read_text(encoding="utf-8"))]


def test_numbers_bear_their_unit():
    """Every public argument and field that is an int or a float, where it is not plainly a count, ends in its unit."""
    bare = set()
    for path in FILES:
        for name, where in _numbers(tree(path)):
            if name.split("_")[-1] not in UNITS and name not in PLAIN:
                bare.add(f"{path.relative_to(SOURCE)}:{where} {name}")
    assert not bare


def _is_number(field: ast.AnnAssign | ast.arg) -> bool:
    return isinstance(field.annotation, ast.Name) and field.annotation.id in ("int", "float")


def _numbers(module: ast.Module):
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            for argument in [*node.args.args, *node.args.kwonlyargs]:
                if _is_number(argument):
                    yield argument.arg, node.name
        if isinstance(node, ast.ClassDef):
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and _is_number(field):
                    yield field.target.id, node.name
