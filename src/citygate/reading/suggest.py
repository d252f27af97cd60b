"""A proposed mapping for a file that nobody described: read from names, units and the values themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from citygate.reading.look import marks, numbers, skips_nothing, span_of, time_format
from citygate.reading.mapping import ROW
from citygate.reading.unit import Kind, Unit, unit_in_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citygate.reading.mapping import FileStyle

_TIME_NAMES = r"time|zeit|datum|date|stamp|stunde|^ts$|start_utc|heure|fecha|^at$"
_METER_NAMES = (
    r"meter|z(ä|ae)hler|building|malo|melo|mpan|mprn|ean|device|serial|site|home|house|haus|contador|compteur|^id$|_id$"
)
_REGISTER_NAMES = r"index|register|stand|reading|cumul|total|z(ä|ae)hlerstand"
_AMOUNT_NAMES = r"volume|verbrauch|consum|usage|menge|delta|interval"
_ENERGY_NAMES = r"energ|kwh|arbeit|w(ä|ae)rme"
_OTHER_NAMES = r"electric|strom|water|wasser|humid|wind|irradiance|solar|pv_"
_FLOW_NAMES = r"flow|durchfluss|rate|lph"
_PRESSURE_NAMES = r"press|druck"
_TEMPERATURE_NAMES = r"temp"
_BATTERY_NAMES = r"batt|voltage"
_TENTHS = re.compile(r"x(10{1,3})(?:$|[^\d])")
#: A pressure below this cannot be absolute.
_GAUGE_BELOW = {"mbar": 500.0, "hPa": 500.0, "bar": 0.5, "kPa": 50.0, "Pa": 50_000.0}
_USUAL_ZONE = "Europe/Berlin"
_SURE, _LIKELY, _GUESS = "sure", "likely", "a guess, please check"


@dataclass(frozen=True, slots=True)
class _Line:
    key: str
    value: str | int | bool
    why: str = ""

    def text(self) -> str:
        value = f'"{_escaped(self.value)}"' if isinstance(self.value, str) else str(self.value).lower()
        return f"{self.key} = {value}" + (f"  # {self.why}" if self.why else "")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")


def suggest(frame: pl.DataFrame, style: FileStyle, name: str) -> str:
    """Return a proposed mapping as TOML, each line with how sure it is.

    Args:
        frame: The first rows of the file, as its reader gives them.
        style: How the bytes were read.
        name: Name of the file.
    """
    columns = [column for column in frame.columns if column != ROW]
    time = _find_time(frame, columns)
    rest = [column for column in columns if column != time]
    decimal, thousands = marks(frame, rest)
    read = {column: numbers(frame[column], decimal, thousands) for column in rest}
    meter = _find_meter(
        frame, [column for column in rest if _matches(column, _METER_NAMES) or read[column] is None], rest
    )
    rest = [column for column in rest if column != meter]
    lines = [f"# A proposed mapping for {name}. Check every line, above all units and zones.", "", "[file]"]
    lines += [line.text() for line in _file_lines(style, decimal, thousands)]
    values = {column: number for column in rest if (number := read[column]) is not None}
    wide = meter is None and len(values) > 1 and not any(_quantity(column, values[column]) for column in values)
    if not wide:
        lines += ["", "[meter]", _meter_line(meter, name).text()]
    lines += ["", "[time]", *_time_lines(frame, time)]
    span_s = span_of(frame, time, meter)
    if wide:
        lines += _wide_lines(values, span_s)
    for section, body in _sections(frame, values, meter, time, span_s).items() if not wide else ():
        lines += ["", f"[{section}]", *(line.text() for line in body)]
    return "\n".join(lines) + "\n"


def _matches(column: str, pattern: str) -> bool:
    return re.search(pattern, column.lower()) is not None


def _file_lines(style: FileStyle, decimal: str, thousands: str) -> list[_Line]:
    lines = []
    if style.delimiter:
        lines = [_Line("delimiter", style.delimiter, _SURE), _Line("encoding", style.encoding, _LIKELY)]
        lines += [_Line("skip_rows", style.skip_rows, _LIKELY)] if style.skip_rows else []
    lines.append(_Line("decimal", decimal, _LIKELY))
    return [*lines, _Line("thousands", thousands, _LIKELY)] if thousands else lines


def _find_time(frame: pl.DataFrame, columns: Sequence[str]) -> str | None:
    for column in columns:
        if frame.schema[column].is_temporal():
            return column
    named = [column for column in columns if _matches(column, _TIME_NAMES)]
    return next((column for column in [*named, *columns] if time_format(frame[column]) is not None), None)


def _time_lines(frame: pl.DataFrame, time: str | None) -> list[str]:
    if time is None:
        return ['column = "?"  # no column looks like a time: name it']
    form, unit = time_format(frame[time]) or ("iso", "")
    lines = [_Line("column", time, _SURE if frame.schema[time].is_temporal() else _LIKELY)]
    if form != "iso":
        lines.append(_Line("format", form, _LIKELY if "/" not in form else _GUESS + ": is it month first?"))
    if unit:
        lines.append(_Line("unit", unit, _LIKELY))
    kind = frame.schema[time]
    aware = isinstance(kind, pl.Datetime) and kind.time_zone is not None
    if kind == pl.String and form == "iso":
        aware = bool(frame[time].drop_nulls().str.contains(r"(Z|[+-]\d\d:?\d\d)\s*$").all())
    if form != "epoch" and not aware and "%z" not in form:
        lines.append(_zone_line(frame[time], form))
    start = _matches(time, "start|begin|von|from")
    lines.append(
        _Line("marks", "start" if start else "end", _LIKELY if start else "end or start of the span of interval values")
    )
    return [line.text() for line in lines]


def _zone_line(column: pl.Series, form: str) -> _Line:
    if _matches(column.name, "utc|gmt"):
        return _Line("zone", "UTC", _LIKELY)
    if skips_nothing(column, form, _USUAL_ZONE):
        return _Line(
            "zone", "UTC", "the hour that local clocks skip in spring is there; or give a fixed offset: Etc/GMT-1"
        )
    return _Line("zone", _USUAL_ZONE, "the times carry no offset: give the true zone")


def _find_meter(frame: pl.DataFrame, candidates: Sequence[str], columns: Sequence[str]) -> str | None:
    named = [column for column in columns if _matches(column, _METER_NAMES) and unit_in_name(column) is None]
    named = [
        column
        for column in named
        if not _matches(column, r"stand|reading|value|wert|index") or frame.schema[column] == pl.String
    ]
    for column in named:
        if not frame.schema[column].is_float():
            return column
    texts = [
        column
        for column in candidates
        if frame.schema[column] == pl.String and frame[column].n_unique() * 2 <= frame.height
    ]
    return texts[0] if texts else None


def _meter_line(meter: str | None, name: str) -> _Line:
    if meter is not None:
        return _Line("column", meter, _LIKELY)
    return _Line(
        "value", re.sub(r"\W+", "-", name.rsplit(".", 1)[0]), "no column names a meter: one meter for the whole file"
    )


def _unit_in_values(column: pl.Series) -> Unit | None:
    if column.dtype != pl.String:
        return None
    tails = column.drop_nulls().head(100).str.extract(r"\d\s*([A-Za-z°³][\w°³/]*)\s*$").drop_nulls()
    return unit_in_name(f"[{tails.mode()[0]}]") if len(tails) else None


def _quantity(column: str, values: pl.Series) -> str | None:
    """Return the section that a column's name speaks of, or None."""
    if _matches(column, _OTHER_NAMES):
        return None
    for section, pattern, kind in (
        ("temperature", _TEMPERATURE_NAMES, Kind.TEMPERATURE),
        ("pressure", _PRESSURE_NAMES, Kind.PRESSURE),
        ("battery", _BATTERY_NAMES, Kind.VOLTAGE),
        ("flow", _FLOW_NAMES, Kind.FLOW),
    ):
        unit = unit_in_name(column, kind)
        if _matches(column, pattern) or (unit is not None and unit.kind is kind):
            return section
    unit = unit_in_name(column, Kind.VOLUME) or unit_in_name(column, Kind.POWER)
    if _matches(column, _ENERGY_NAMES) or (unit is not None and unit.kind in {Kind.ENERGY, Kind.POWER}):
        return "energy"
    named = _matches(column, f"{_REGISTER_NAMES}|{_AMOUNT_NAMES}") or (unit is not None and unit.kind is Kind.VOLUME)
    return "register" if named and values.null_count() < len(values) else None


def _rises(frame: pl.DataFrame, values: pl.Series, meter: str | None, time: str | None) -> float:
    """Return the share of steps that do not fall, among those of one meter; 0 when nothing ever rises."""
    rows = pl.DataFrame({"value": values, "meter": frame[meter] if meter else [0] * len(values)})
    rows = rows.with_columns(frame[time].alias("time")) if time and frame.schema[time].is_temporal() else rows
    rows = rows.sort("meter", "time") if "time" in rows.columns else rows
    steps = rows.select(pl.col("value").diff().over("meter")).to_series().drop_nulls()
    if steps.is_empty() or not (steps > 0).any():
        return 0.0
    return float((steps >= 0).mean())  # type: ignore[arg-type]


def _sections(
    frame: pl.DataFrame, values: dict[str, pl.Series], meter: str | None, time: str | None, span_s: int | None
) -> dict[str, list[_Line]]:
    found: dict[str, list[_Line]] = {}
    spoken = {column: _quantity(column, number) for column, number in values.items()}
    if not {"register", "energy"} & set(spoken.values()) and len(values):
        free = [column for column, section in spoken.items() if section is None and not _matches(column, _OTHER_NAMES)]
        spoken |= dict.fromkeys(free[:1], "register")
    for column, section in spoken.items():
        if section is None:
            continue
        body = [_Line("column", column)]
        unit = _unit_in_values(frame[column])
        if section == "register":
            section, body = _volume(column, values[column], _rises(frame, values[column], meter, time), unit)  # noqa: PLW2901
        elif section == "energy":
            body += _energy_lines(column, unit)
        else:
            body += _other_lines(column, section, unit, values[column])
        if section in {"volume", "energy"}:
            body.append(_Line("span_s", span_s or 3_600, _LIKELY if span_s else _GUESS))
        found.setdefault(section, body)
    return found


def _volume(column: str, values: pl.Series, rises: float, unit: Unit | None) -> tuple[str, list[_Line]]:
    """Tell a register from an interval volume: a register does not fall."""
    register = rises > 0.98 and not _matches(column, _AMOUNT_NAMES)  # noqa: PLR2004
    why = (
        f"it never falls in {rises:.0%} of the steps"
        if register
        else f"it falls in {1 - rises:.0%} of the steps: no register"
    )
    unit = unit or unit_in_name(column, Kind.VOLUME)
    if unit is not None and unit.kind is Kind.VOLUME:
        told = _Line("unit", unit.name, _SURE)
    else:
        fraction = bool((values.drop_nulls() % 1 != 0).any())
        told = _Line(
            "unit", "m3" if fraction else "l", f"{_GUESS}: {'it has decimals' if fraction else 'whole numbers'}"
        )
    lines = [_Line("column", column, why), told, *_scale(column)]
    if register and told.value in {"ft3", "ccf"}:
        lines.append(_Line("round", value=True, why="no whole litres in this unit"))
    return ("register" if register else "volume"), lines


def _energy_lines(column: str, unit: Unit | None) -> list[_Line]:
    unit = unit or unit_in_name(column, Kind.POWER) or unit_in_name(column)
    good = unit is not None and unit.kind in {Kind.ENERGY, Kind.POWER}
    name = unit.name if unit is not None and good else "kWh"
    why = (_SURE if good else _GUESS) + (
        ": the mean power of the span" if good and unit is not None and unit.kind is Kind.POWER else ""
    )
    return [_Line("unit", name, why), *_scale(column)]


def _scale(column: str) -> list[_Line]:
    found = _TENTHS.search(column.lower())
    return (
        [_Line("scale", f"0.{'0' * (len(found[1]) - 2)}1", "the name says that values are multiplied")] if found else []
    )


def _other_lines(column: str, section: str, unit: Unit | None, values: pl.Series) -> list[_Line]:
    kinds = {
        "temperature": (Kind.TEMPERATURE, "C"),
        "pressure": (Kind.PRESSURE, "mbar"),
        "battery": (Kind.VOLTAGE, "mV"),
        "flow": (Kind.FLOW, "l/h"),
    }
    kind, default = kinds[section]
    unit = unit or unit_in_name(column, kind)
    good = unit is not None and unit.kind is kind
    name = unit.name if unit is not None and good else default
    lines = [_Line("unit", name, _SURE if good else _GUESS)]
    typical = values.drop_nulls().median()
    if section == "pressure" and isinstance(typical, float):
        gauge = typical < _GAUGE_BELOW.get(name, 0.0)
        if gauge:
            lines += [
                _Line("gauge", value=True, why="too low for an absolute pressure"),
                _Line("ambient_pa", 101_325, _GUESS),
            ]
    return lines


def _wide_lines(values: dict[str, pl.Series], span_s: int | None) -> list[str]:
    rising = [float((steps >= 0).mean()) for number in values.values() if len(steps := number.diff().drop_nulls())]  # type: ignore[arg-type]
    register = bool(rising) and min(rising) > 0.98  # noqa: PLR2004
    section = "register" if register else "volume"
    fraction = any((number.drop_nulls() % 1 != 0).any() for number in values.values())
    unit = _Line("unit", "m3" if fraction else "l", _GUESS)
    lines = [
        "",
        "[wide]",
        _Line("quantity", section, "one column for each meter; " + ("none falls" if register else "they fall")).text(),
    ]
    lines += ["", f"[{section}]", unit.text()]
    return lines if register else [*lines, _Line("span_s", span_s or 3_600, _LIKELY if span_s else _GUESS).text()]
