"""How the columns of a foreign file become readings: a mapping, read from TOML."""

from __future__ import annotations

import codecs
import difflib
import tomllib
from dataclasses import dataclass, field, fields
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from citygate.errors import CitygateError
from citygate.reading.unit import UNITS, Kind, Unit, find_unit

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Mapping as Table

#: Name of the column that carries the number of a row in its source.
ROW = "#row"

Ambiguous = Literal["refuse", "earliest", "latest"]


class MappingError(CitygateError):
    """A mapping says something that cannot be understood; the text names the key."""

    code = "mapping_wrong"


class ColumnMissingError(CitygateError):
    """A file lacks a column that its mapping, or the plain form, needs."""

    code = "column_missing"

    def __init__(self, column: str, found: Iterable[str]) -> None:
        self.column = column
        self.found = list(found)
        near = difflib.get_close_matches(column, self.found, 1)
        hint = f"; did you mean '{near[0]}'?" if near else "."
        super().__init__(
            f"no column '{column}'{hint} The columns are {', '.join(self.found)}. "
            "Write a mapping; `citygate ingest --suggest FILE` proposes one"
        )


@dataclass(frozen=True, slots=True)
class FileStyle:
    """How the bytes of a file become columns of text.

    Args:
        delimiter: Between fields; empty means: found from the header.
        encoding: Of a text file.
        sheet: Of an Excel file; empty means the first.
        skip_rows: Lines before the header.
        header: Whether a line with names comes first; otherwise the columns are column_1, column_2 and so on.
        decimal: Mark before the fraction, ``.`` or ``,``.
        thousands: Mark between groups of three digits; empty means none.
        null: Texts that mean: no value.
    """

    delimiter: str = ""
    encoding: str = "utf-8"
    sheet: str = ""
    skip_rows: int = 0
    header: bool = True
    decimal: str = "."
    thousands: str = ""
    null: tuple[str, ...] = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "-")


@dataclass(frozen=True, slots=True)
class MeterColumn:
    """Where the identity of the meter stands: in a column, or the same for the whole file (``value``)."""

    column: str = ""
    value: str = ""
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class TimeColumn:
    """Where the time stands and how it is written.

    Args:
        column: Name of the column; with ``columns`` several are joined by a space (date and time of day).
        columns: See ``column``.
        format: ``iso``, ``epoch``, or a pattern such as ``%d.%m.%Y %H:%M``.
        unit: Of an epoch: s, ms, us or ns.
        zone: IANA zone of times that carry no offset; empty means that such times are refused.
        ambiguous: What to do with the hour that comes twice in autumn.
        marks: Whether the time is the ``end`` or the ``start`` of the span of an interval value.
    """

    column: str = ""
    columns: tuple[str, ...] = ()
    format: str = "iso"
    unit: str = "us"
    zone: str = ""
    ambiguous: Ambiguous = "refuse"
    marks: Literal["end", "start"] = "end"


@dataclass(frozen=True, slots=True)
class QuantityColumn:
    """Where a quantity stands and in which unit.

    Args:
        column: Name of the column; empty with ``value`` for a constant.
        value: The same value for every row.
        unit: A name of `citygate.reading.unit.UNITS`.
        scale: Exact factor on top of the unit, such as 1/10 for a column of tenths.
        span_s: Length of the span of every interval value [s].
        gauge: Whether a pressure is above that of the air around.
        ambient_pa: Pressure of the air around, for gauge pressures [Pa].
        round: Whether a register may be rounded to whole litres (units such as ft3 need it).
        unit_in_name: ``refuse`` refuses the rows when the name of the column says another unit; ``ignore`` trusts
            ``unit``.
        required: Whether the file must have the column.
    """

    column: str = ""
    value: str = ""
    unit: Unit = UNITS["1"]
    scale: Fraction = Fraction(1)
    span_s: int | None = None
    gauge: bool = False
    ambient_pa: int = 0
    round: bool = False
    unit_in_name: Literal["refuse", "ignore"] = "refuse"
    required: bool = True


@dataclass(frozen=True, slots=True)
class WideColumns:
    """One column for each meter: the rest of the columns are meters and hold ``quantity``."""

    quantity: str = ""
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mapping:
    """All that is needed to read a file. ``text`` is the TOML it came from; empty for the plain form."""

    file: FileStyle = field(default_factory=FileStyle)
    meter: MeterColumn = field(default_factory=lambda: MeterColumn("meter"))
    time: TimeColumn = field(default_factory=lambda: TimeColumn("time"))
    received: TimeColumn | None = None
    quantities: dict[str, QuantityColumn] = field(default_factory=dict)
    wide: WideColumns | None = None
    text: str = ""
    plain: bool = False


#: Section of the TOML, column of the batch, kinds of unit allowed, unit of the plain form.
SECTIONS: dict[str, tuple[str, tuple[Kind, ...], str]] = {
    "register": ("index_l", (Kind.VOLUME,), "l"),
    "volume": ("volume_l", (Kind.VOLUME,), "l"),
    "energy": ("energy_wh", (Kind.ENERGY, Kind.POWER), "Wh"),
    "span": ("span_s", (Kind.TIME,), "s"),
    "flow": ("flow_lph", (Kind.FLOW,), "l/h"),
    "pressure": ("pressure_pa", (Kind.PRESSURE,), "Pa"),
    "temperature": ("temperature_mk", (Kind.TEMPERATURE,), "mK"),
    "battery": ("battery_mv", (Kind.VOLTAGE,), "mV"),
    "status": ("status", (Kind.NONE,), "1"),
}


def plain_mapping() -> Mapping:
    """Return the mapping of a file whose columns already bear the names and units of a batch."""
    quantities = {
        column: QuantityColumn(column=column, unit=UNITS[unit], required=False) for column, _, unit in SECTIONS.values()
    }
    return Mapping(quantities=quantities, plain=True)


def parse_mapping(text: str) -> Mapping:
    """Return the mapping that a TOML text describes; docs/reference/mapping.md lists every key.

    Raises:
        MappingError: The text is not TOML, a key is not known or a value cannot be understood.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as cause:
        raise MappingError(f"the mapping is not TOML: {cause}") from cause
    known = ["file", "meter", "time", "received", "wide", *SECTIONS]
    _refuse_unknown(table, known, "")
    for name, value in table.items():
        if not isinstance(value, dict):
            raise MappingError(f"[{name}] in the mapping must be a section, such as [{name}] followed by column = ...")
    if "time" not in table:
        raise MappingError("the mapping has no [time] section")
    mapping = Mapping(
        file=_file(table.get("file", {})),
        meter=_meter(table.get("meter", {}), wide="wide" in table),
        time=_time(table["time"], "time"),
        received=_time(table["received"], "received") if "received" in table else None,
        quantities={SECTIONS[name][0]: _quantity(name, table[name]) for name in SECTIONS if name in table},
        wide=_wide(table["wide"]) if "wide" in table else None,
        text=text,
    )
    _check(mapping)
    return mapping


def _check(mapping: Mapping) -> None:
    if not mapping.quantities:
        raise MappingError(f"the mapping names no quantity; add one of [{'], ['.join(SECTIONS)}]")
    wide = mapping.wide
    if wide is not None and wide.quantity not in mapping.quantities:
        raise MappingError(f"wide.quantity is '{wide.quantity}', but the mapping has no such section")
    for section, (column, _, _) in SECTIONS.items():
        entry = mapping.quantities.get(column)
        if entry is not None and not entry.column and not entry.value and (wide is None or wide.quantity != column):
            raise MappingError(f"[{section}] needs column = the name of a column, or value = a constant")
    for column in ("volume_l", "energy_wh"):
        quantity = mapping.quantities.get(column)
        if quantity is not None and quantity.span_s is None and "span_s" not in mapping.quantities:
            section = next(name for name, target in SECTIONS.items() if target[0] == column)
            raise MappingError(
                f"{section}.span_s is missing: say how many seconds a value covers, or give a [span] column"
            )
    energy = mapping.quantities.get("energy_wh")
    if energy is not None and energy.unit.kind is Kind.POWER and energy.span_s is None:
        raise MappingError(f'energy.unit = "{energy.unit.name}" is a mean power and needs energy.span_s')


def _refuse_unknown(table: Table[str, object], known: Iterable[str], section: str) -> None:
    names = list(known)
    for key in table:
        if key not in names:
            near = difflib.get_close_matches(key, names, 1, 0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(names)}"
            raise MappingError(f"unknown key '{section}{key}' in the mapping; {hint}")


def _typed(section: str, table: Table[str, Any], wanted: dict[str, type]) -> dict[str, Any]:
    _refuse_unknown(table, wanted, f"{section}.")
    for key, value in table.items():
        kind = wanted[key]
        fits = isinstance(value, (int, float, str)) if kind is Fraction else isinstance(value, kind)
        if not fits or (isinstance(value, bool) and kind is not bool):
            raise MappingError(f"{section}.{key} in the mapping must be of type {_KIND_NAMES[kind]}, not {value!r}")
        if kind is list and not all(isinstance(item, str) for item in value):
            raise MappingError(f"{section}.{key} in the mapping must be a list of texts")
    return dict(table)


_KIND_NAMES: dict[type, str] = {
    str: "text",
    int: "whole number",
    bool: "true or false",
    list: "list",
    Fraction: "number",
}


def _one_of(section: str, key: str, value: str, allowed: Iterable[str]) -> str:
    names = list(allowed)
    if value not in names:
        raise MappingError(f"{section}.{key} is '{value}'; it must be one of {', '.join(names)}")
    return value


def _file(table: Table[str, Any]) -> FileStyle:
    wanted: dict[str, type] = {entry.name: str for entry in fields(FileStyle)}
    found = _typed("file", table, wanted | {"skip_rows": int, "header": bool, "null": list})
    if "null" in found:
        found["null"] = ("", *found["null"])
    style = FileStyle(**found)
    _one_of("file", "decimal", style.decimal, (".", ","))
    if style.decimal == style.thousands:
        raise MappingError(f"file.decimal and file.thousands are both '{style.decimal}'")
    if len(style.delimiter) > 1 or len(style.thousands) > 1:
        raise MappingError("file.delimiter and file.thousands are single characters")
    try:
        "a".encode(style.encoding)
        codecs.getincrementaldecoder(style.encoding)
    except (LookupError, ValueError) as cause:
        raise MappingError(f"file.encoding is '{style.encoding}', which is not a known encoding") from cause
    return style


def _meter(table: Table[str, Any], *, wide: bool) -> MeterColumn:
    found = MeterColumn(**_typed("meter", table, {"column": str, "value": str, "prefix": str}))
    if bool(found.column) + bool(found.value) + wide != 1:
        raise MappingError("the mapping needs exactly one of meter.column, meter.value or [wide]")
    return found


def _time(table: Table[str, Any], section: str) -> TimeColumn:
    wanted = {entry.name: str for entry in fields(TimeColumn)} | {"columns": list}
    found = _typed(section, table, cast("dict[str, type]", wanted))
    found["columns"] = tuple(found.get("columns", ()))
    time = TimeColumn(**found)
    if bool(time.column) == bool(time.columns):
        raise MappingError(f"[{section}] needs either column or columns")
    _one_of(section, "unit", time.unit, ("s", "ms", "us", "ns"))
    _one_of(section, "ambiguous", time.ambiguous, ("refuse", "earliest", "latest"))
    _one_of(section, "marks", time.marks, ("end", "start"))
    if time.format not in {"iso", "epoch"} and "%" not in time.format:
        raise MappingError(f"{section}.format is '{time.format}'; write iso, epoch or a pattern such as %d.%m.%Y %H:%M")
    if time.zone:
        try:
            ZoneInfo(time.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as cause:
            raise MappingError(f"{section}.zone is '{time.zone}', which is not a zone such as Europe/Berlin") from cause
    return time


def _quantity(section: str, table: Table[str, Any]) -> QuantityColumn:
    column, kinds, default = SECTIONS[section]
    wanted: dict[str, type] = {"column": str, "value": Fraction, "unit": str, "scale": Fraction, "unit_in_name": str}
    extra: dict[str, dict[str, type]] = {
        "index_l": {"round": bool},
        "volume_l": {"span_s": int},
        "energy_wh": {"span_s": int},
        "pressure_pa": {"gauge": bool, "ambient_pa": int},
    }
    found = _typed(section, table, wanted | extra.get(column, {}))
    unit = find_unit(found.get("unit", default))
    if unit is None or unit.kind not in kinds:
        right = [name for name, entry in UNITS.items() if entry.kind in kinds]
        raise MappingError(f"{section}.unit is '{found['unit']}'; it must be one of {', '.join(right)}")
    try:
        scale = Fraction(Decimal(str(found.get("scale", 1))))
    except (InvalidOperation, ValueError, OverflowError) as cause:
        raise MappingError(f"{section}.scale is '{found['scale']}', which is not a number") from cause
    _one_of(section, "unit_in_name", found.get("unit_in_name", "refuse"), ("refuse", "ignore"))
    if found.get("span_s", 1) <= 0:
        raise MappingError(f"{section}.span_s must be above zero")
    quantity = QuantityColumn(**(found | {"unit": unit, "scale": scale, "value": str(found.get("value", ""))}))
    gauge = quantity.gauge or unit.gauge
    if gauge and quantity.ambient_pa <= 0:
        raise MappingError(
            f"{section}.ambient_pa is missing: a gauge pressure needs the pressure of the air around [Pa]"
        )
    return quantity


def _wide(table: Table[str, Any]) -> WideColumns:
    found = _typed("wide", table, {"quantity": str, "columns": list})
    section = _one_of("wide", "quantity", found.get("quantity", ""), SECTIONS)
    return WideColumns(SECTIONS[section][0], tuple(found.get("columns", ())))
