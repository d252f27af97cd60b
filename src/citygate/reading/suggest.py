"""A proposed mapping for a file that nobody described: read from names, units and the values themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

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
_FORMATS = (
    "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M",
    "%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M:%S %p", "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%Y%m%d%H%M%S", "%Y%m%d %H%M",
    "%d.%m.%Y", "%Y-%m-%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%y %H:%M",
)  # fmt: skip
_EPOCHS = (("s", 10**9), ("ms", 10**12), ("us", 10**15), ("ns", 10**18))
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
    decimal, thousands = _marks(frame, rest)
    numbers = {column: _numbers(frame[column], decimal, thousands) for column in rest}
    meter = _find_meter(
        frame, [column for column in rest if _matches(column, _METER_NAMES) or numbers[column] is None], rest
    )
    rest = [column for column in rest if column != meter]
    lines = [f"# A proposed mapping for {name}. Check every line, above all units and zones.", "", "[file]"]
    lines += [line.text() for line in _file_lines(style, decimal, thousands)]
    values = {column: number for column in rest if (number := numbers[column]) is not None}
    wide = meter is None and len(values) > 1 and not any(_quantity(column, values[column]) for column in values)
    if not wide:
        lines += ["", "[meter]", _meter_line(meter, name).text()]
    lines += ["", "[time]", *_time_lines(frame, time)]
    span_s = _span(frame, time, meter)
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
    return next((column for column in [*named, *columns] if _time_format(frame[column]) is not None), None)


def _time_format(column: pl.Series) -> tuple[str, str] | None:
    """Return format and epoch unit of a column that reads as times, or None."""
    if column.dtype.is_temporal():
        return "iso", ""
    if column.dtype.is_integer():
        size = abs(int(column.drop_nulls().median() or 0))  # type: ignore[arg-type]
        # From 1999 to 2096.
        return next((("epoch", unit) for unit, scale in _EPOCHS if 0.9 * scale < size < 4 * scale), None)  # noqa: PLR2004
    if column.dtype != pl.String:
        return None
    text = column.drop_nulls().str.strip_chars().head(500)
    text = text.filter(text != "")
    if text.is_empty():
        return None
    if text.str.contains(r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?$").mean() > 0.9:  # type: ignore[operator]  # noqa: PLR2004
        return "iso", ""
    if text.str.contains(r"^\d{10,19}$").all():
        return _time_format(text.cast(pl.Int64, strict=False))
    best, hits = None, 0.0
    for pattern in _FORMATS:
        parsed = (
            text.str.to_datetime(pattern, strict=False)
            if "%H" in pattern or "%I" in pattern
            else text.str.to_date(pattern, strict=False)
        )
        share = 1 - parsed.null_count() / len(text)
        if share > hits:
            best, hits = pattern, share
    return (best, "") if best is not None and hits > 0.9 else None  # noqa: PLR2004


def _time_lines(frame: pl.DataFrame, time: str | None) -> list[str]:
    if time is None:
        return ['column = "?"  # no column looks like a time: name it']
    form, unit = _time_format(frame[time]) or ("iso", "")
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
        utc = _matches(time, "utc|gmt")
        lines.append(
            _Line(
                "zone",
                "UTC" if utc else "Europe/Berlin",
                _LIKELY if utc else "the times carry no offset: give the true zone",
            )
        )
    start = _matches(time, "start|begin|von|from")
    lines.append(
        _Line("marks", "start" if start else "end", _LIKELY if start else "end or start of the span of interval values")
    )
    return [line.text() for line in lines]


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


def _marks(frame: pl.DataFrame, columns: Sequence[str]) -> tuple[str, str]:
    """Return the decimal and the thousands mark of the texts that are numbers."""
    texts = [frame[column].drop_nulls().str.strip_chars() for column in columns if frame.schema[column] == pl.String]
    every = pl.concat(texts) if texts else pl.Series(dtype=pl.String)
    every = every.filter(every.str.contains(r"^[+-]?[\d.,' ]*\d(\s*[A-Za-z°³/%]+\d?)?$"))
    both_german = every.str.contains(r"^[+-]?\d{1,3}(\.\d{3})+,\d+").any()
    both_english = every.str.contains(r"^[+-]?\d{1,3}(,\d{3})+\.\d+").any()
    comma = every.str.contains(r"^[+-]?\d+,\d+").sum()
    point = every.str.contains(r"^[+-]?\d+\.\d+").sum()
    grouped_comma = every.str.contains(r"^[+-]?\d{1,3}(,\d{3})+$").sum()
    if both_german:
        return ",", "."
    if both_english or (comma and comma == grouped_comma and point):
        return ".", ","
    return (",", "") if comma > point else (".", "")


def _numbers(column: pl.Series, decimal: str, thousands: str) -> pl.Series | None:
    """Return a column as float64, or None when most of it are no numbers."""
    if column.dtype.is_numeric():
        return column.cast(pl.Float64)
    if column.dtype != pl.String:
        return None
    text = column.str.strip_chars().str.extract(r"^([+-]?[\d.,']+)")
    text = text.str.replace_all(thousands, "", literal=True) if thousands else text
    number = text.str.replace(decimal, ".", literal=True).cast(pl.Float64, strict=False)
    whole = column.str.contains(r"^\s*[+-]?[\d.,']+\s*[A-Za-z°³/%]*\d?\s*$").sum()
    return number if whole * 2 > len(column.drop_nulls()) and number.null_count() < len(number) else None


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


def _span(frame: pl.DataFrame, time: str | None, meter: str | None) -> int | None:
    """Return the commonest distance between the times of one meter [s]."""
    form = _time_format(frame[time]) if time else None
    if time is None or form is None:
        return None
    column = frame[time]
    if form[0] == "epoch":
        scale = next(scale for unit, scale in _EPOCHS if unit == form[1]) // 10**9
        moments = column.cast(pl.Int64, strict=False) // scale
    elif column.dtype == pl.String:
        text = (
            column.str.strip_chars().str.replace("T", " ").str.slice(0, 19)
            if form[0] == "iso"
            else column.str.strip_chars()
        )
        pattern = (
            ("%Y-%m-%d %H:%M:%S" if text.str.len_chars().max() == 19 else "%Y-%m-%d %H:%M")
            if form[0] == "iso"
            else form[0]
        )  # noqa: PLR2004
        read = (
            text.str.to_datetime(pattern, strict=False)
            if "%H" in pattern or "%I" in pattern
            else text.str.to_date(pattern, strict=False)
        )
        moments = read.cast(pl.Datetime("us")).cast(pl.Int64) // 1_000_000
    else:
        moments = column.cast(pl.Datetime("us")).cast(pl.Int64) // 1_000_000
    rows = pl.DataFrame({"moment": moments, "meter": frame[meter] if meter else [0] * len(moments)})
    steps = rows.select(pl.col("moment").diff().over("meter")).to_series().drop_nulls()
    steps = steps.filter(steps > 0)
    return int(steps.mode().min()) if len(steps) else None  # type: ignore[arg-type]


def _sections(
    frame: pl.DataFrame, values: dict[str, pl.Series], meter: str | None, time: str | None, span_s: int | None
) -> dict[str, list[_Line]]:
    found: dict[str, list[_Line]] = {}
    spoken = {column: _quantity(column, numbers) for column, numbers in values.items()}
    if not {"register", "energy"} & set(spoken.values()) and len(values):
        free = [column for column, section in spoken.items() if section is None and not _matches(column, _OTHER_NAMES)]
        spoken |= dict.fromkeys(free[:1], "register")
    for column, section in spoken.items():
        if section is None:
            continue
        body = [_Line("column", column)]
        unit = _unit_in_values(frame[column])
        if section == "register":
            section, body = _volume(frame, column, values[column], _rises(frame, values[column], meter, time), unit)  # noqa: PLW2901
        elif section == "energy":
            body += _energy_lines(column, unit)
        else:
            body += _other_lines(column, section, unit, values[column])
        if section in {"volume", "energy"}:
            body.append(_Line("span_s", span_s or 3_600, _LIKELY if span_s else _GUESS))
        found.setdefault(section, body)
    return found


def _volume(
    frame: pl.DataFrame, column: str, values: pl.Series, rises: float, unit: Unit | None
) -> tuple[str, list[_Line]]:
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
        gauge = (
            name in {"mbar", "hPa"}
            and typical < 500
            or name == "bar"
            and typical < 0.8
            or name == "kPa"
            and typical < 50
        )  # noqa: PLR2004
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
