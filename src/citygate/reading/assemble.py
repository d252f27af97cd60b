"""Columns as they came, and a mapping, to a batch of readings: whole columns at a time, every row accounted for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from citygate.reading.batch import QUANTITIES, ReadingBatch
from citygate.reading.flaw import Flaw, any_flaw, refused_frame, with_raw
from citygate.reading.mapping import ROW, SECTIONS, ColumnMissingError, Mapping, QuantityColumn, TimeColumn
from citygate.reading.moment import to_us
from citygate.reading.number import Target, to_whole
from citygate.reading.unit import Kind, unit_in_name

if TYPE_CHECKING:
    from collections.abc import Iterable

_SECTION = {column: name for name, (column, _, _) in SECTIONS.items()}
_METER_WIDE, _VALUE_WIDE = "#meter", "#value"
_US_PER_SECOND = 1_000_000
#: The name that the plain form uses for microseconds since 1970.
_PLAIN_EPOCH = "at_us"


def assemble(frame: pl.DataFrame, mapping: Mapping) -> tuple[ReadingBatch, pl.DataFrame]:
    """Return the readings of a frame and the rows that could not become one.

    Args:
        frame: Columns as they came, and optionally `ROW` with the number of each row in its source. A wide frame must
            have passed `unpivot` first.
        mapping: Which column is what.

    Returns:
        The batch, in the order of the frame; and the refused rows with the columns ``row, field, code, message, raw``,
        where ``raw`` is the row as a JSON object. Each row of the frame is in exactly one of the two.
    """
    if ROW not in frame.columns:
        frame = frame.with_columns(pl.int_range(pl.len(), dtype=pl.Int64()).alias(ROW))
    mapping = resolve(mapping, frame.columns)
    height = frame.height
    flaws: list[Flaw] = []
    columns: dict[str, pl.Series] = {}
    columns["meter"], found = _meter(frame, mapping)
    flaws += found
    columns["at_us"], found = _time(frame, mapping.time, "at_us", needed=True)
    flaws += found
    for name in QUANTITIES:
        quantity = mapping.quantities.get(name)
        if quantity is None:
            continue
        columns[name], found = _quantity(frame, name, quantity, mapping)
        flaws += found
    if mapping.received is not None:
        columns["received_us"], found = _time(frame, mapping.received, "received_us", needed=False)
        flaws += found
    rows = pl.DataFrame(
        [series.alias(name) for name, series in columns.items()] + [frame[ROW].cast(pl.Int64()).alias("row")]
    )
    rows = _with_spans(rows, mapping)
    broken = any_flaw(flaws, height)
    if broken is None:
        return ReadingBatch.of(rows), refused_frame([], frame[ROW])
    refused = with_raw(refused_frame(flaws, frame[ROW].cast(pl.Int64())), frame, ROW)
    return ReadingBatch.of(rows.filter(~broken)), refused


def resolve(mapping: Mapping, columns: Iterable[str]) -> Mapping:
    """Return the mapping with what the plain form leaves open settled: ``at_us`` or ``time``, and the received time."""
    if not mapping.plain:
        return mapping
    found = set(columns)
    time = TimeColumn(_PLAIN_EPOCH, format="epoch") if _PLAIN_EPOCH in found else mapping.time
    received = None
    if "received_us" in found:
        received = TimeColumn("received_us", format="epoch")
    elif "received" in found:
        received = TimeColumn("received")
    kept = {name: entry for name, entry in mapping.quantities.items() if entry.column in found}
    return replace(mapping, time=time, received=received, quantities=kept)


def require_columns(mapping: Mapping, columns: Iterable[str]) -> None:
    """Refuse a file whose columns cannot give a reading, before any of its rows is taken.

    Raises:
        ColumnMissingError: The meter, the time or a column that the mapping names is not there, or nothing measured is.
    """
    names = [name for name in columns if name != ROW]
    settled = resolve(mapping, names)
    wanted = [settled.meter.column, settled.time.column, *settled.time.columns]
    if settled.received is not None:
        wanted += [settled.received.column, *settled.received.columns]
    wanted += [entry.column for entry in settled.quantities.values()]
    wanted += list(settled.wide.columns) if settled.wide is not None else []
    for name in wanted:
        if name and name not in names:
            raise ColumnMissingError(name, names)
    if not settled.quantities:
        raise ColumnMissingError("index_l", names)


def unpivot(frame: pl.DataFrame, mapping: Mapping) -> tuple[pl.DataFrame, Mapping]:
    """Return a wide frame (one column for each meter) as a long one, with the mapping that reads it.

    Cells without a value are no readings and disappear. Other frames come back as they are.
    """
    wide = mapping.wide
    if wide is None:
        return frame, mapping
    other = {mapping.time.column, *mapping.time.columns, ROW, *(entry.column for entry in mapping.quantities.values())}
    meters = list(wide.columns) or [name for name in frame.columns if name not in other]
    index = [name for name in frame.columns if name in other]
    if all(frame.schema[name].is_integer() for name in meters):
        long = frame.unpivot(meters, index=index, variable_name=_METER_WIDE, value_name=_VALUE_WIDE)
    else:
        long = frame.with_columns(pl.col(meters).cast(pl.String())).unpivot(
            meters, index=index, variable_name=_METER_WIDE, value_name=_VALUE_WIDE
        )
        tokens = list(mapping.file.null)
        long = long.filter(~pl.col(_VALUE_WIDE).str.strip_chars().is_in(tokens))
    return long.filter(pl.col(_VALUE_WIDE).is_not_null()), long_mapping(mapping)


def long_mapping(mapping: Mapping) -> Mapping:
    """Return the mapping that reads the rows `unpivot` made; a mapping that is not wide comes back as it is."""
    wide = mapping.wide
    if wide is None:
        return mapping
    quantities = dict(mapping.quantities)
    quantities[wide.quantity] = replace(quantities[wide.quantity], column=_VALUE_WIDE)
    return replace(mapping, wide=None, quantities=quantities, meter=replace(mapping.meter, column=_METER_WIDE))


def _meter(frame: pl.DataFrame, mapping: Mapping) -> tuple[pl.Series, list[Flaw]]:
    style = mapping.meter
    if style.value:
        return pl.repeat(style.prefix + style.value, frame.height, dtype=pl.String(), eager=True), []
    column = _column(frame, style.column)
    if column.dtype.is_float():
        whole = column.cast(pl.Int64(), strict=False)
        column = whole if (whole.cast(pl.Float64()) == column).all() else column
    text = column.cast(pl.String(), strict=False) if not column.dtype.is_nested() else _column(frame, "")
    if column.dtype == pl.String() and text.str.contains(r"^\s|\s$").any():
        text = text.str.strip_chars()
    missing = (text.is_null() | (text == "")).fill_null(value=True)
    if style.prefix:
        text = style.prefix + text
    return text, _flaw_missing("meter", f"the meter is missing (column '{style.column}')", missing)


def _time(frame: pl.DataFrame, style: TimeColumn, field: str, *, needed: bool) -> tuple[pl.Series, list[Flaw]]:
    if style.columns:
        parts = [_column(frame, name).cast(pl.String()) for name in style.columns]
        column = pl.select(pl.concat_str(parts, separator=" ")).to_series()
    else:
        column = _column(frame, style.column)
    at_us, flaws = to_us(column, style, field)
    if not needed:
        return at_us, flaws
    missing = column.is_null()
    if column.dtype == pl.String():
        missing = missing | (column.str.strip_chars() == "").fill_null(value=False)
    named = style.column or " ".join(style.columns)
    return at_us, _flaw_missing(field, f"the time is missing (column '{named}')", missing) + flaws


def _flaw_missing(field: str, message: str, mask: pl.Series) -> list[Flaw]:
    return [Flaw(field, "field_missing", message, mask)] if mask.any() else []


def _column(frame: pl.DataFrame, name: str) -> pl.Series:
    if name in frame.columns:
        return frame[name]
    return pl.repeat(None, frame.height, dtype=pl.String(), eager=True).alias(name)


def _quantity(frame: pl.DataFrame, name: str, entry: QuantityColumn, mapping: Mapping) -> tuple[pl.Series, list[Flaw]]:
    unit = entry.unit
    factor = unit.factor * entry.scale
    if unit.kind is Kind.POWER:
        factor = factor * (entry.span_s or 0) / 3_600
    ambient = entry.ambient_pa if entry.gauge or unit.gauge else 0
    target = Target(name, unit, factor, unit.offset + ambient, exact=name == "index_l" and not entry.round)
    if not entry.column:
        constant, flaws = to_whole(pl.Series([entry.value]), target, mapping.file)
        if flaws:
            mask = pl.repeat(value=True, n=frame.height, dtype=pl.Boolean, eager=True)
            return _column(frame, "").cast(pl.Int64()), [replace(flaws[0], mask=mask)]
        return pl.repeat(constant[0], frame.height, dtype=pl.Int64(), eager=True), []
    column = _column(frame, entry.column)
    value, flaws = to_whole(column, target, mapping.file)
    named = unit_in_name(entry.column, unit.kind)
    if entry.unit_in_name == "refuse" and named is not None and (named.kind, named.factor) != (unit.kind, unit.factor):
        message = (
            f"the column '{entry.column}' says {named.name}, but the mapping says {unit.name}; "
            f'correct {_SECTION[name]}.unit, or say unit_in_name = "ignore" there'
        )
        flaws = [Flaw(name, "unit_mismatch", message, column.is_not_null()), *flaws]
    return value, flaws


def _with_spans(rows: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    """Give interval values their span, and move times that mark its start to its end."""
    fixed = [mapping.quantities[name].span_s for name in ("volume_l", "energy_wh") if name in mapping.quantities]
    span_s = next((span for span in fixed if span is not None), None)
    if span_s is not None:
        amount = pl.any_horizontal(
            pl.col(name).is_not_null() for name in ("volume_l", "energy_wh") if name in rows.columns
        )
        given = pl.col("span_s") if "span_s" in rows.columns else pl.lit(None, pl.Int64())
        rows = rows.with_columns(pl.when(amount).then(given.fill_null(span_s)).otherwise(given).alias("span_s"))
    if mapping.time.marks == "start" and "span_s" in rows.columns:
        rows = rows.with_columns(pl.col("at_us") + pl.col("span_s").fill_null(0) * _US_PER_SECOND)
    return rows
