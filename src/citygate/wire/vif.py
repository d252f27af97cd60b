"""What a value information field says: quantity, unit and scale, and what its extensions add.

References:
    EN 13757-3:2018, tables of primary VIFs, of the extensions FB and FD, and of combinable extensions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from citygate.wire.telegram import Basis


class Shape(StrEnum):
    """How the bytes of a value are to be read, beside what the DIF says."""

    NUMBER = "number"
    MOMENT = "moment"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class Quantity:
    """A quantity as sent.

    Attributes:
        name: What it is.
        unit: Unit after scaling.
        factor: Whole factor from the unit as sent (minutes, days) to `unit`.
        exponent: Power of ten from the number as sent to `unit`.
        shape: How to read it.
        basis: Conditions of a volume, where stated.
        error: Error that the meter reports in place of a value.
    """

    name: str
    unit: str = ""
    factor: int = 1
    exponent: int = 0
    shape: Shape = Shape.NUMBER
    basis: Basis | None = None
    error: str = ""


_N, _M, _C = Shape.NUMBER, Shape.MOMENT, Shape.CODE
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400
_Row = tuple[int, int, str, str, int]

#: First VIF, how many follow each other by powers of ten, name, unit, exponent of the first.
_PRIMARY: tuple[_Row, ...] = (
    (0x00, 8, "energy", "Wh", -3),
    (0x08, 8, "energy", "J", 0),
    (0x10, 8, "volume", "m3", -6),
    (0x18, 8, "mass", "kg", -3),
    (0x28, 8, "power", "W", -3),
    (0x30, 8, "power", "J/h", 0),
    (0x38, 8, "flow", "m3/h", -6),
    (0x40, 8, "flow", "m3/min", -7),
    (0x48, 8, "flow", "m3/s", -9),
    (0x50, 8, "mass_flow", "kg/h", -3),
    (0x58, 4, "flow_temperature", "Cel", -3),
    (0x5C, 4, "return_temperature", "Cel", -3),
    (0x60, 4, "temperature_difference", "K", -3),
    (0x64, 4, "external_temperature", "Cel", -3),
    (0x68, 4, "pressure", "bar", -3),
    (0x6E, 1, "heat_cost_allocation", "", 0),
)
_FB: tuple[_Row, ...] = (
    (0x00, 2, "energy", "Wh", 5),
    (0x02, 2, "reactive_energy", "varh", 3),
    (0x04, 2, "apparent_energy", "VAh", 3),
    (0x08, 2, "energy", "J", 8),
    (0x0C, 4, "energy", "cal", 5),
    (0x10, 2, "volume", "m3", 2),
    (0x14, 4, "reactive_power", "var", 0),
    (0x18, 2, "mass", "kg", 5),
    (0x1A, 2, "relative_humidity", "%", -1),
    (0x20, 1, "volume", "ft3", 0),
    (0x21, 1, "volume", "ft3", -1),
    (0x22, 2, "volume", "gal", -1),
    (0x24, 1, "flow", "gal/min", -3),
    (0x25, 1, "flow", "gal/min", 0),
    (0x26, 1, "flow", "gal/h", 0),
    (0x28, 2, "power", "W", 5),
    (0x2A, 1, "phase_voltage_to_voltage", "deg", -1),
    (0x2B, 1, "phase_voltage_to_current", "deg", -1),
    (0x2C, 4, "frequency", "Hz", -3),
    (0x30, 2, "power", "J/h", 8),
    (0x34, 4, "apparent_power", "VA", 0),
    (0x58, 4, "flow_temperature", "[degF]", -3),
    (0x5C, 4, "return_temperature", "[degF]", -3),
    (0x60, 4, "temperature_difference", "[degF]", -3),
    (0x64, 4, "external_temperature", "[degF]", -3),
    (0x70, 4, "limit_temperature", "[degF]", -3),
    (0x74, 4, "limit_temperature", "Cel", -3),
    (0x78, 8, "power_maximum_cumulated", "W", -3),
)
_FD: tuple[_Row, ...] = (
    (0x00, 4, "credit", "currency", -3),
    (0x04, 4, "debit", "currency", -3),
    (0x40, 16, "voltage", "V", -9),
    (0x50, 16, "current", "A", -12),
)
#: Durations: first VIF and the units that follow each other.
_SECONDS = (1, _MINUTE_S, _HOUR_S, _DAY_S)
_DURATION: tuple[tuple[int, str], ...] = (
    (0x20, "on_time"),
    (0x24, "operating_time"),
    (0x70, "averaging_duration"),
    (0x74, "actuality_duration"),
)
_DURATION_FD: tuple[tuple[int, str], ...] = (
    (0x24, "storage_interval"),
    (0x2C, "duration_since_readout"),
    (0x3C, "period_of_transmission"),
)
_SINGLE = {
    0x6C: Quantity("date", shape=_M),
    0x6D: Quantity("datetime", shape=_M),
    0x6F: Quantity("reserved_6F", shape=_C),
    0x78: Quantity("fabrication_number", shape=_C),
    0x79: Quantity("enhanced_identification", shape=_C),
    0x7A: Quantity("address", shape=_C),
    0x7E: Quantity("any", shape=_C),
}
_SINGLE_FD = {
    0x08: Quantity("access_number", shape=_C),
    0x09: Quantity("device_type", shape=_C),
    0x0A: Quantity("manufacturer", shape=_C),
    0x0B: Quantity("parameter_set", shape=_C),
    0x0C: Quantity("model_version", shape=_C),
    0x0D: Quantity("hardware_version", shape=_C),
    0x0E: Quantity("firmware_version", shape=_C),
    0x0F: Quantity("software_version", shape=_C),
    0x10: Quantity("customer_location", shape=_C),
    0x11: Quantity("customer", shape=_C),
    0x12: Quantity("access_code_user", shape=_C),
    0x13: Quantity("access_code_operator", shape=_C),
    0x14: Quantity("access_code_system_operator", shape=_C),
    0x15: Quantity("access_code_developer", shape=_C),
    0x16: Quantity("password", shape=_C),
    0x17: Quantity("error_flags", shape=_C),
    0x18: Quantity("error_mask", shape=_C),
    0x19: Quantity("security_key", shape=_C),
    0x1A: Quantity("digital_output", shape=_C),
    0x1B: Quantity("digital_input", shape=_C),
    0x1C: Quantity("baud_rate", "Bd"),
    0x1D: Quantity("response_delay", "bit_times"),
    0x1E: Quantity("retry"),
    0x1F: Quantity("remote_control", shape=_C),
    0x20: Quantity("first_storage"),
    0x21: Quantity("last_storage"),
    0x22: Quantity("storage_block_size"),
    0x23: Quantity("tariff_and_subunit", shape=_C),
    0x28: Quantity("storage_interval", "months"),
    0x29: Quantity("storage_interval", "years"),
    0x2A: Quantity("operator_specific", shape=_C),
    0x2B: Quantity("time_second", "s"),
    0x30: Quantity("tariff_start", shape=_M),
    0x31: Quantity("tariff_duration", "s", _MINUTE_S),
    0x32: Quantity("tariff_duration", "s", _HOUR_S),
    0x33: Quantity("tariff_duration", "s", _DAY_S),
    0x34: Quantity("tariff_period", "s"),
    0x35: Quantity("tariff_period", "s", _MINUTE_S),
    0x36: Quantity("tariff_period", "s", _HOUR_S),
    0x37: Quantity("tariff_period", "s", _DAY_S),
    0x38: Quantity("tariff_period", "months"),
    0x39: Quantity("tariff_period", "years"),
    0x3A: Quantity("dimensionless"),
    0x3B: Quantity("container", shape=_C),
    0x60: Quantity("reset_counter"),
    0x61: Quantity("cumulation_counter"),
    0x62: Quantity("control_signal", shape=_C),
    0x63: Quantity("day_of_week"),
    0x64: Quantity("week_number"),
    0x65: Quantity("time_of_day_change", shape=_C),
    0x66: Quantity("parameter_activation", shape=_C),
    0x67: Quantity("supplier_information", shape=_C),
    0x68: Quantity("duration_since_cumulation", "s", _HOUR_S),
    0x69: Quantity("duration_since_cumulation", "s", _DAY_S),
    0x6A: Quantity("duration_since_cumulation", "months"),
    0x6B: Quantity("duration_since_cumulation", "years"),
    0x6C: Quantity("battery_operating_time", "s", _HOUR_S),
    0x6D: Quantity("battery_operating_time", "s", _DAY_S),
    0x6E: Quantity("battery_operating_time", "months"),
    0x6F: Quantity("battery_operating_time", "years"),
    0x70: Quantity("battery_change", shape=_M),
    0x71: Quantity("signal_level", "dBm"),
    0x72: Quantity("daylight_saving", shape=_C),
    0x73: Quantity("listening_window", shape=_C),
    0x74: Quantity("battery_remaining", "d"),
    0x75: Quantity("stop_count"),
    0x76: Quantity("manufacturer_container", shape=_C),
}


def _tabulate(
    rows: tuple[_Row, ...], durations: tuple[tuple[int, str], ...], single: dict[int, Quantity]
) -> dict[int, Quantity]:
    table = dict(single)
    for first, count, name, unit, exponent in rows:
        table.update({first + step: Quantity(name, unit, 1, exponent + step) for step in range(count)})
    for first, name in durations:
        table.update({first + step: Quantity(name, "s", size_s) for step, size_s in enumerate(_SECONDS)})
    return table


TABLES: dict[int | None, dict[int, Quantity]] = {
    None: _tabulate(_PRIMARY, _DURATION, _SINGLE),
    0xFB: _tabulate(_FB, (), {}),
    0xFD: _tabulate(_FD, _DURATION_FD, _SINGLE_FD),
}

_ERRORS = {
    0x01: "too_many_difes",
    0x02: "storage_not_implemented",
    0x03: "subunit_not_implemented",
    0x04: "tariff_not_implemented",
    0x05: "function_not_implemented",
    0x06: "data_class_not_implemented",
    0x07: "data_size_not_implemented",
    0x0B: "too_many_vifes",
    0x0C: "illegal_vif_group",
    0x0D: "illegal_vif_exponent",
    0x0E: "vif_dif_mismatch",
    0x0F: "action_not_implemented",
    0x15: "no_data_available",
    0x16: "data_overflow",
    0x17: "data_underflow",
    0x18: "data_error",
    0x1C: "premature_end_of_record",
}
_PER = {
    0x20: "/s",
    0x21: "/min",
    0x22: "/h",
    0x23: "/d",
    0x24: "/week",
    0x25: "/month",
    0x26: "/year",
    0x27: "/measurement",
    0x28: "/input_pulse_0",
    0x29: "/input_pulse_1",
    0x2A: "/output_pulse_0",
    0x2B: "/output_pulse_1",
    0x2C: "/l",
    0x2D: "/m3",
    0x2E: "/kg",
    0x2F: "/K",
    0x30: "/kWh",
    0x31: "/GJ",
    0x32: "/kW",
    0x33: "/(K.l)",
    0x34: "/V",
    0x35: "/A",
    0x36: ".s",
    0x37: ".s/V",
    0x38: ".s/A",
}
_SUFFIX = {
    0x12: "average",
    0x13: "inverse_compact_profile",
    0x14: "relative_deviation",
    0x1D: "standard_conform",
    0x1E: "compact_profile_with_registers",
    0x1F: "compact_profile",
    0x3B: "forward",
    0x3C: "backward",
    0x3D: "non_metric",
    0x3F: "obis",
    0x40: "lower_limit",
    0x41: "lower_limit_exceeds",
    0x48: "upper_limit",
    0x49: "upper_limit_exceeds",
    0x68: "during_lower_limit_exceed",
    0x69: "leakage",
    0x6C: "during_upper_limit_exceed",
    0x6D: "overflow",
    0x7E: "future",
}
_SUFFIX_FC = {
    0x01: "l1",
    0x02: "l2",
    0x03: "l3",
    0x04: "neutral",
    0x05: "l1_l2",
    0x06: "l2_l3",
    0x07: "l3_l1",
    0x08: "quadrant_1",
    0x09: "quadrant_2",
    0x0A: "quadrant_3",
    0x0B: "quadrant_4",
    0x0C: "import_less_export",
    0x10: "absolute",
    0x11: "type_c",
    0x12: "type_d",
    0x13: "to_meter",
    0x14: "from_meter",
}
_SHAPED = {0x13, 0x1E, 0x1F, 0x3F}
_LIMIT_MOMENTS = {*range(0x42, 0x48), *range(0x4A, 0x50), 0x6A, 0x6B, 0x6E, 0x6F}
_LIMIT_DURATIONS = range(0x50, 0x68)
_FACTOR, _ADDITION, _THOUSAND = range(0x70, 0x78), range(0x78, 0x7C), 0x7D


def extend(quantity: Quantity, code: int) -> Quantity:  # noqa: PLR0911  (one line for each kind of the table)
    """Return what a combinable extension makes of a quantity; an unknown one stays visible in the name."""
    if code in _ERRORS:
        return replace(quantity, error=_ERRORS[code])
    if code == 0:
        return quantity
    if code in _PER:
        return replace(quantity, unit=quantity.unit + _PER[code])
    if code in _SUFFIX:
        shape = _C if code in _SHAPED else quantity.shape
        return replace(quantity, name=f"{quantity.name}_{_SUFFIX[code]}", shape=shape)
    if code in _FACTOR:
        return replace(quantity, exponent=quantity.exponent + code - 0x76)
    if code == _THOUSAND:
        return replace(quantity, exponent=quantity.exponent + 3)
    if code in _ADDITION:
        return replace(quantity, name=f"{quantity.name}_plus_1e{code - 0x7B}")
    if code == 0x3A:  # noqa: PLR2004  (uncorrected: as metered, not at base conditions)
        return replace(quantity, basis=Basis.MEASURED)
    if code == 0x3E:  # noqa: PLR2004  (value at base conditions)
        return replace(quantity, basis=Basis.BASE)
    return _limit(quantity, code)


def _limit(quantity: Quantity, code: int) -> Quantity:
    if code == 0x39:  # noqa: PLR2004  (start date or time of)
        return replace(quantity, name=f"{quantity.name}_start", unit="", factor=1, exponent=0, shape=_M)
    if code in _LIMIT_MOMENTS:
        return Quantity(f"{quantity.name}_moment_{code:02X}", shape=_M, basis=quantity.basis)
    if code in _LIMIT_DURATIONS:
        return Quantity(f"{quantity.name}_duration_{code:02X}", "s", _SECONDS[code & 3], basis=quantity.basis)
    return replace(quantity, name=f"{quantity.name}_vife_{code:02X}")


def extend_second(quantity: Quantity, code: int) -> Quantity:
    """Return what an extension of the second table, the one behind FC, makes of a quantity."""
    return replace(quantity, name=f"{quantity.name}_{_SUFFIX_FC.get(code, f'vife_FC_{code:02X}')}")
