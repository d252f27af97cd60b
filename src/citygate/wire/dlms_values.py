"""COSEM data as registers with names: push lists in the forms that meters send, profiles, and single values.

References:
    [1] DLMS UA 1000-1, Blue Book: push setup (class 40), profile generic (class 7), scaler_unit of registers (class 3).
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from citygate.wire import axdr, obis
from citygate.wire.axdr import Item, Tag
from citygate.wire.telegram import Telegram, Value

if TYPE_CHECKING:
    from citygate.wire.xdlms import Target

_MOMENT_B = 12
_LISTS = (Tag.ARRAY, Tag.STRUCTURE)
_NUMBERS = (
    Tag.INT8,
    Tag.INT16,
    Tag.INT32,
    Tag.INT64,
    Tag.UINT8,
    Tag.UINT16,
    Tag.UINT32,
    Tag.UINT64,
    Tag.FLOAT32,
    Tag.FLOAT64,
)
_CLOCK = bytes([0, 0, 1, 0, 0, 0xFF])
_REGISTERS = (3, 4, 5)


def telegram(item: Item) -> Telegram:
    """Return what one tree of data says: registers with their names, and the identity and time among them."""
    named = _described(item) or _listed(item) or _in_turn(item)
    values = [value for _, value in named] if named else _plain(item, "data")
    said = {value.name: value.value for value in reversed(values) if isinstance(value.value, str)}
    device = said.get("logical_device_name") or ""
    time = next((value.value for code, value in named if code[2:5] == _CLOCK[2:5]), None)
    media = [obis.medium(code) for code, _ in named if obis.medium(code)]
    return Telegram(
        manufacturer=device[:3] if device[:3].isascii() and device[:3].isalpha() and len(device) > 3 else None,  # noqa: PLR2004
        serial=said.get("serial") or device or None,
        medium=media[0] if media else None,
        time=time if isinstance(time, str) else None,
        values=tuple(values),
    )


def target_text(target: Target) -> str:
    """Return class, code and attribute, as 3/7-0:13.2.0/2."""
    return f"{target.class_code}/{obis.code_text(target.instance)}/{target.member_code}"


def _described(item: Item) -> list[tuple[bytes, Value]]:
    """A structure whose first part lists class, code, attribute and index of the parts after it (or of itself too)."""
    if item.tag is not Tag.STRUCTURE or not item.value or item.value[0].tag not in _LISTS:
        return []
    descriptors, parts = item.value[0].value, item.value[1:]
    if not descriptors or not all(_is_descriptor(each) for each in descriptors):
        return []
    if len(descriptors) == len(parts) + 1:
        descriptors = descriptors[1:]
    if len(descriptors) != len(parts):
        return []
    named = []
    for descriptor, part in zip(descriptors, parts, strict=True):
        class_code, code, member = (each.value for each in descriptor.value[:3])
        value = _register(code, part, None)
        unscaled = class_code in _REGISTERS and member == 2 and part.tag in _NUMBERS  # noqa: PLR2004
        named.append((code, replace(value, note="sent without scaler and unit") if unscaled else value))
    return named


def _is_descriptor(item: Item) -> bool:
    tags = tuple(each.tag for each in item.value[:3]) if item.tag is Tag.STRUCTURE else ()
    return tags == (Tag.UINT16, Tag.OCTETS, Tag.INT8) and len(item.value[1].value) == obis.CODE_B


def _listed(item: Item) -> list[tuple[bytes, Value]]:
    """A list of structures of code, value, and scaler with unit."""
    if item.tag not in _LISTS or not item.value:
        return []
    if not all(each.tag is Tag.STRUCTURE and len(each.value) > 1 and _is_code(each.value[0]) for each in item.value):
        return []
    return [
        (each.value[0].value, _register(each.value[0].value, each.value[1], each.value[2] if each.value[2:] else None))
        for each in item.value
    ]


def _in_turn(item: Item) -> list[tuple[bytes, Value]]:
    """A structure of codes and values in turn; what comes before the first code is the name of the list."""
    if item.tag is not Tag.STRUCTURE:
        return []
    parts, named, at = item.value, [], 0
    while at < len(parts) and not _is_code(parts[at]):
        at += 1
    if at > 1 or at >= len(parts):
        return []
    while at + 1 < len(parts) and _is_code(parts[at]):
        scaler = parts[at + 2] if at + 2 < len(parts) and _is_scaler(parts[at + 2]) else None
        value = _register(parts[at].value, parts[at + 1], scaler)
        unscaled = scaler is None and parts[at + 1].tag in _NUMBERS
        named.append((parts[at].value, replace(value, note="sent without scaler and unit") if unscaled else value))
        at += 2 if scaler is None else 3
    return named if at == len(parts) else []


def _is_code(item: Item) -> bool:
    return item.tag is Tag.OCTETS and len(item.value) == obis.CODE_B


def _is_scaler(item: Item | None) -> bool:
    tags = tuple(each.tag for each in item.value) if item is not None and item.tag is Tag.STRUCTURE else ()
    return tags == (Tag.INT8, Tag.ENUM)


def _register(code: bytes, item: Item, scaler: Item | None) -> Value:
    plain = _scalar(item)
    unit, note = "", ""
    if plain is None:
        note = "no value"
    if scaler is not None and _is_scaler(scaler):
        exponent, unit_code = (each.value for each in scaler.value)
        unit = obis.UNITS.get(unit_code, f"unit {unit_code}")
        if item.tag in _NUMBERS and plain is not None:
            plain = Decimal(plain).scaleb(exponent)
    return Value(
        obis.name(code), plain, unit, tariff=obis.tariff(code), basis=obis.basis(code), subunit=code[1], note=note
    )


def _scalar(item: Item) -> int | Decimal | str | None:
    """Return a value as it is: octets as a time, as text where all of them can be printed, or as digits."""
    if item.tag in _LISTS:
        return axdr.encode(item).hex().upper()
    if item.tag is Tag.BOOLEAN:
        return int(item.value)
    if not isinstance(item.value, bytes):
        return item.value  # type: ignore[no-any-return]
    if len(item.value) == _MOMENT_B and item.tag in (Tag.OCTETS, Tag.DATE_TIME):
        moment = axdr.moment(item.value)
        if moment is not None:
            return moment
    text = item.value.decode("latin-1")
    return text if text.isascii() and text.isprintable() and text else item.value.hex().upper()


def _plain(item: Item, name: str) -> list[Value]:
    """Data without codes: a profile's rows bear ``storage`` 1 and up, other parts are named by their place."""
    if item.tag is Tag.ARRAY and item.value and all(each.tag is Tag.STRUCTURE for each in item.value):
        return [
            replace(value, storage=row)
            for row, each in enumerate(item.value, 1)
            for place, part in enumerate(each.value, 1)
            for value in _plain(part, f"column_{place}")
        ]
    if item.tag in _LISTS:
        return [value for place, each in enumerate(item.value, 1) for value in _plain(each, f"{name}_{place}")]
    plain = _scalar(item)
    is_moment = isinstance(item.value, bytes) and len(item.value) == _MOMENT_B and axdr.moment(item.value) == plain
    return [Value("datetime" if is_moment else name, plain, note="no value" if plain is None else "")]
