"""OBIS codes: names of what a register holds, and units of DLMS.

References:
    [1] IEC 62056-6-1 (DLMS UA 1000-1, Blue Book, part 1): value groups A to F; gas is A = 7, where C is the quantity
        and D the conditions: 0 at metering, 1 corrected, 2 base.
    [2] IEC 62056-6-2, clause 4.3.2: enumeration of physical units.
"""

from __future__ import annotations

from citygate.wire.telegram import Basis

CODE_B = 6
GAS = 7

_GAS_QUANTITIES = {
    1: "volume",
    2: "volume_disturbed",
    3: "volume",
    11: "volume",
    12: "volume_disturbed",
    13: "volume",
    41: "temperature",
    42: "pressure",
    43: "flow",
    52: "conversion_factor",
    53: "compressibility",
    54: "calorific_value",
}
#: Registers of electricity by C and D, whose E is the tariff.
ELECTRICITY = {
    (1, 8): "energy_imported",
    (2, 8): "energy_exported",
    (1, 7): "power_imported",
    (2, 7): "power_exported",
}
_VOLUMES = ("volume", "volume_disturbed", "flow")
_BASES = {0: Basis.MEASURED, 1: Basis.CORRECTED, 2: Basis.BASE}
_MEDIA = {1: "electricity", 4: "heat cost allocator", 5: "cooling", 6: "heat", 7: "gas", 8: "water", 9: "warm water"}
_COMMON = {
    (1, 0, 0): "datetime",
    (42, 0, 0): "logical_device_name",
    (24, 4, 0): "valve",
    (96, 1, 0): "serial",
    (96, 1, 1): "serial",
    (97, 97, 0): "error_flags",
}
#: Units as the project writes them, with the power of ten that their name hides.
UNITS = {
    1: "year",
    2: "month",
    3: "week",
    4: "day",
    5: "h",
    6: "min",
    7: "s",
    9: "Cel",
    13: "m3",
    14: "m3",
    15: "m3/h",
    16: "m3/h",
    17: "m3/d",
    18: "m3/d",
    19: "l",
    20: "kg",
    23: "Pa",
    24: "bar",
    25: "J",
    27: "W",
    28: "VA",
    29: "var",
    30: "Wh",
    31: "VAh",
    32: "varh",
    33: "A",
    34: "C",
    35: "V",
    44: "Hz",
    52: "K",
    56: "%",
    255: "",
}


def code_text(code: bytes) -> str:
    """Return six bytes as A-B:C.D.E, with *F where F is not 255."""
    a, b, c, d, e, f = code
    return f"{a}-{b}:{c}.{d}.{e}" + ("" if f == 0xFF else f"*{f}")  # noqa: PLR2004


def name(code: bytes) -> str:
    """Return what a register holds, or its code where no name is known."""
    a, _, c, d, e, _ = code
    if a == GAS and c in _GAS_QUANTITIES:
        return _GAS_QUANTITIES[c]
    if a == 0 and c == 24 and d in (2, 3):  # noqa: PLR2004 - a meter on an M-Bus channel
        return "volume"
    if a == 1 and (c, d) in ELECTRICITY:
        return ELECTRICITY[c, d]
    return _COMMON.get((c, d, e), code_text(code)) if a == 0 else code_text(code)


def tariff(code: bytes) -> int:
    """Return the tariff of a volume of gas or an energy; 0 is the total."""
    counted = (GAS, "volume"), (GAS, "volume_disturbed"), (1, "energy_imported"), (1, "energy_exported")
    return code[4] if (code[0], name(code)) in counted else 0


def basis(code: bytes) -> Basis | None:
    """Return for which conditions a gas volume or flow is stated, where its code tells."""
    return _BASES.get(code[3]) if code[0] == GAS and name(code) in _VOLUMES else None


def medium(code: bytes) -> str | None:
    """Return of what the register is, where its first group tells."""
    return _MEDIA.get(code[0])
