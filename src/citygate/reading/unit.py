"""Units that input may use, as exact factors to Citygate's own whole units."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction


class Kind(StrEnum):
    """What a number measures."""

    VOLUME = "volume"
    ENERGY = "energy"
    POWER = "power"
    FLOW = "flow"
    PRESSURE = "pressure"
    TEMPERATURE = "temperature"
    VOLTAGE = "voltage"
    TIME = "time"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit: own value = value * factor + offset.

    Args:
        name: As a mapping writes it.
        kind: What it measures; the own units are l, Wh, W, l/h, Pa, mK, mV and s.
        factor: Exact ratio to the own unit.
        offset: Own units at the zero of this unit; only temperatures have one.
        gauge: Whether zero means the pressure of the air around, not vacuum.
    """

    name: str
    kind: Kind
    factor: Fraction
    offset: Fraction = Fraction(0)
    gauge: bool = False


_CUBIC_FOOT_L = Fraction(28_316_846_592, 1_000_000_000)  # exact, from 1 ft = 0.3048 m
_THERM_WH = Fraction("105505585.262") / 3_600  # 100,000 BTU of the International Table, 1055.05585262 J each
_PSI_PA = Fraction("4.4482216152605") / Fraction("0.0254") ** 2  # pound-force per square inch

UNITS: dict[str, Unit] = {
    unit.name: unit
    for unit in (
        Unit("l", Kind.VOLUME, Fraction(1)),
        Unit("dm3", Kind.VOLUME, Fraction(1)),
        Unit("m3", Kind.VOLUME, Fraction(1_000)),
        Unit("ft3", Kind.VOLUME, _CUBIC_FOOT_L),
        Unit("ccf", Kind.VOLUME, 100 * _CUBIC_FOOT_L),
        Unit("Wh", Kind.ENERGY, Fraction(1)),
        Unit("kWh", Kind.ENERGY, Fraction(1_000)),
        Unit("MWh", Kind.ENERGY, Fraction(1_000_000)),
        Unit("MJ", Kind.ENERGY, Fraction(1_000_000, 3_600)),
        Unit("therm", Kind.ENERGY, _THERM_WH),
        Unit("W", Kind.POWER, Fraction(1)),
        Unit("kW", Kind.POWER, Fraction(1_000)),
        Unit("l/h", Kind.FLOW, Fraction(1)),
        Unit("l/min", Kind.FLOW, Fraction(60)),
        Unit("m3/h", Kind.FLOW, Fraction(1_000)),
        Unit("ft3/h", Kind.FLOW, _CUBIC_FOOT_L),
        Unit("Pa", Kind.PRESSURE, Fraction(1)),
        Unit("hPa", Kind.PRESSURE, Fraction(100)),
        Unit("mbar", Kind.PRESSURE, Fraction(100)),
        Unit("kPa", Kind.PRESSURE, Fraction(1_000)),
        Unit("bar", Kind.PRESSURE, Fraction(100_000)),
        Unit("psi", Kind.PRESSURE, _PSI_PA),
        Unit("Pa(g)", Kind.PRESSURE, Fraction(1), gauge=True),
        Unit("hPa(g)", Kind.PRESSURE, Fraction(100), gauge=True),
        Unit("mbar(g)", Kind.PRESSURE, Fraction(100), gauge=True),
        Unit("kPa(g)", Kind.PRESSURE, Fraction(1_000), gauge=True),
        Unit("bar(g)", Kind.PRESSURE, Fraction(100_000), gauge=True),
        Unit("psi(g)", Kind.PRESSURE, _PSI_PA, gauge=True),
        Unit("mK", Kind.TEMPERATURE, Fraction(1)),
        Unit("K", Kind.TEMPERATURE, Fraction(1_000)),
        Unit("C", Kind.TEMPERATURE, Fraction(1_000), Fraction(273_150)),
        Unit("F", Kind.TEMPERATURE, Fraction(5_000, 9), Fraction("459.67") * Fraction(5_000, 9)),
        Unit("mV", Kind.VOLTAGE, Fraction(1)),
        Unit("V", Kind.VOLTAGE, Fraction(1_000)),
        Unit("s", Kind.TIME, Fraction(1)),
        Unit("min", Kind.TIME, Fraction(60)),
        Unit("h", Kind.TIME, Fraction(3_600)),
        Unit("1", Kind.NONE, Fraction(1)),
    )
}

#: Other spellings, compared without case and spaces.
_ALIASES = {
    "litre": "l", "litres": "l", "liter": "l", "liters": "l", "ltr": "l", "dm³": "dm3",
    "m³": "m3", "m^3": "m3", "cbm": "m3", "qm3": "m3", "cubicmetre": "m3",
    "cubicmetres": "m3", "cubicmeters": "m3", "m**3": "m3",
    "ft³": "ft3", "ft^3": "ft3", "cf": "ft3", "cuft": "ft3", "scf": "ft3", "hcf": "ccf", "therms": "therm",
    "lph": "l/h", "l/hr": "l/h", "lpm": "l/min", "m³/h": "m3/h", "m3h": "m3/h", "cbm/h": "m3/h", "cfh": "ft3/h",
    "barg": "bar(g)", "bar_g": "bar(g)", "mbarg": "mbar(g)", "mbar_g": "mbar(g)", "psig": "psi(g)", "hpag": "hpa(g)",
    "bara": "bar", "bar(a)": "bar", "mbara": "mbar", "mbar(a)": "mbar", "psia": "psi",
    "°c": "C", "degc": "C", "celsius": "C", "°f": "F", "degf": "F", "fahrenheit": "F", "kelvin": "K",
    "volt": "V", "sec": "s", "seconds": "s", "minutes": "min", "hours": "h",
}  # fmt: skip
_CASELESS = {name.lower(): name for name in UNITS if name not in {"mV", "MJ", "mK"}} | {
    "mv": "mV",
    "mj": "MJ",
    "mk": "mK",
}
#: Tokens that are too common in names to be taken for a unit unless they fit the kind that is wanted.
_WEAK = {"l", "c", "f", "k", "h", "s", "v", "w", "1", "min", "m", "cf"}
_WEAK_LAST = {Kind.VOLUME: {"l", "cf"}, Kind.TEMPERATURE: {"c", "f", "k"}, Kind.VOLTAGE: {"v"}, Kind.POWER: {"w"}}


def find_unit(text: str) -> Unit | None:
    """Return the unit that a text names in any usual spelling, or None."""
    if text in UNITS:
        return UNITS[text]
    plain = re.sub(r"\s+", "", text).lower()
    name = _ALIASES.get(plain) or _CASELESS.get(plain)
    name = _CASELESS.get(name.lower(), name) if name and name not in UNITS else name
    return None if name is None else UNITS.get(name)


def unit_in_name(column: str, wanted: Kind | None = None) -> Unit | None:
    """Return the unit that the name of a column carries, such as m3 in ``Stand [m³]`` or kWh in ``kwh_x10``.

    One-letter units count only at the end of the name and where they fit ``wanted``.
    """
    bracket = re.search(r"[\[(]([^\])]+)[\])]?\s*$", column)
    if bracket and (unit := find_unit(bracket.group(1))):
        return unit
    tail = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column)
    for candidate in (column, tail):
        tokens = [token for token in re.split(r"[^\w³°/^]+|_", candidate.lower()) if token]
        for place, token in enumerate(reversed(tokens)):
            unit = find_unit(token)
            if unit is None:
                continue
            if token not in _WEAK:
                return unit
            if place == 0 and wanted is not None and token in _WEAK_LAST.get(wanted, set()):
                return unit
    return None
