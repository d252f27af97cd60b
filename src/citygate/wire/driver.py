"""Drivers: what one meter model says beyond the standard, as data with the telegrams that prove it.

A driver is a file in `drivers/`: whom it serves, names for its values, meanings of its status bits, numbers within its
own bytes, formats of its compact frames, and telegrams with what they say. Any meter whose records are standard needs
no driver.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from citygate.wire.device import Device
from citygate.wire.framing import crc16
from citygate.wire.telegram import Function, Outcome, Telegram, Value

if TYPE_CHECKING:
    from collections.abc import Mapping

_BLOCK = "manufacturer_specific"
#: A number that is no whole multiple of ten is rounded to this many places: a millilitre in m3.
_PLACES = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Rename:
    """A better name for a value that the standard names generally."""

    value: str
    name: str
    storage: int = 0
    tariff: int = 0
    function: str = Function.INSTANTANEOUS

    def fits(self, value: Value) -> bool:
        """Whether a value is meant."""
        mine = (self.value, self.storage, self.tariff, self.function)
        return mine == (value.name, value.storage, value.tariff, value.function)


@dataclass(frozen=True, slots=True)
class Bits:
    """Names of the bits of a value that reports conditions of the meter."""

    value: str
    names: Mapping[str, str]

    def read(self, value: Value) -> tuple[str, ...]:
        """Return the names of the bits that are set; a bit without a name is named by its number."""
        if value.name != self.value or not isinstance(value.value, int) or value.value < 0:
            return ()
        set_bits = [bit for bit in range(value.value.bit_length()) if value.value >> bit & 1]
        return tuple(self.names.get(str(bit)) or f"{self.value}_bit_{bit}" for bit in set_bits)


@dataclass(frozen=True, slots=True)
class Raw:
    """A whole number, lowest byte first, at a place within the bytes that only the manufacturer explains."""

    name: str
    offset_b: int
    size_b: int
    unit: str = ""
    divisor_count: int = 1

    def read(self, raw: bytes) -> Value | None:
        """Return the value, or None when the bytes end before it."""
        piece = raw[self.offset_b : self.offset_b + self.size_b]
        if len(piece) < self.size_b:
            return None
        number = int.from_bytes(piece, "little")
        exact = Decimal(number) / self.divisor_count
        rounded = exact.quantize(_PLACES)
        note = (
            "" if rounded * self.divisor_count == number else f"{number} counts, {self.divisor_count} for one; rounded"
        )
        return Value(self.name, rounded, self.unit, note=note)


@dataclass(frozen=True, slots=True)
class Proof:
    """A telegram and what it says."""

    frame: str
    source: str
    key: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    status: tuple[str, ...] = ()
    medium: str = ""


@dataclass(frozen=True, slots=True)
class Driver:
    """One meter model.

    Attributes:
        name: Of the file.
        manufacturer: Three letters.
        versions: Generations it serves; empty for all.
        types: Device types it serves; empty for all.
    """

    name: str
    manufacturer: str
    versions: frozenset[int]
    types: frozenset[int]
    renames: tuple[Rename, ...]
    bits: tuple[Bits, ...]
    raws: tuple[Raw, ...]
    formats: tuple[bytes, ...]
    proofs: tuple[Proof, ...]

    def serves(self, device: Device) -> bool:
        """Whether a device is of this model."""
        if device.manufacturer != self.manufacturer:
            return False
        of_version = not self.versions or device.version in self.versions
        return of_version and (not self.types or device.kind in self.types)

    def refine(self, telegram: Telegram) -> Telegram:
        """Return the telegram with the model's own names, status and numbers."""
        values = [self._named(value) for value in telegram.values]
        for value in telegram.values:
            if value.name == _BLOCK and isinstance(value.value, str):
                raw = bytes.fromhex(value.value)
                values += [found for each in self.raws if (found := each.read(raw)) is not None]
        status = (name for value in telegram.values for each in self.bits for name in each.read(value))
        return replace(telegram, values=tuple(values), status=tuple(dict.fromkeys((*telegram.status, *status))))

    def _named(self, value: Value) -> Value:
        for rename in self.renames:
            if rename.fits(value):
                return replace(value, name=rename.name)
        return value


def parse(name: str, text: str) -> Driver:
    """Return the driver that a file describes; an unknown key or a wrong one is refused by its name.

    Raises:
        TypeError: A key is unknown or missing.
        tomllib.TOMLDecodeError: The text is no TOML.
    """
    facts = tomllib.loads(text)
    known = {"manufacturer", "versions", "types", "rename", "bits", "raw", "formats", "telegram"}
    if facts.keys() - known:
        raise TypeError(f"driver {name}: unknown keys {sorted(facts.keys() - known)}")
    return Driver(
        name,
        facts["manufacturer"],
        frozenset(facts.get("versions", ())),
        frozenset(facts.get("types", ())),
        tuple(Rename(**each) for each in facts.get("rename", ())),
        tuple(Bits(**each) for each in facts.get("bits", ())),
        tuple(Raw(**each) for each in facts.get("raw", ())),
        tuple(bytes.fromhex(each) for each in facts.get("formats", ())),
        tuple(Proof(**{**each, "status": tuple(each.get("status", ()))}) for each in facts.get("telegram", ())),
    )


@lru_cache(maxsize=1)
def drivers() -> tuple[Driver, ...]:
    """Return all drivers of the package, in the order of their names."""
    folder = resources.files("citygate.wire") / "drivers"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda file: file.name)
    return tuple(parse(file.name.removesuffix(".toml"), file.read_text(encoding="utf-8")) for file in files)


@lru_cache(maxsize=1)
def formats() -> Mapping[int, bytes]:
    """Return the formats of compact frames that drivers know, by signature."""
    return {crc16(form): form for driver in drivers() for form in driver.formats}


@lru_cache(maxsize=4096)
def _serving(address: bytes) -> tuple[Driver, ...]:
    """Drivers of a model; the cache is keyed without the serial number."""
    return tuple(driver for driver in drivers() if driver.serves(Device(address)))


def refine(device: Device, outcome: Outcome) -> Outcome:
    """Return a telegram as the drivers of its model understand it; an unread frame stays as it is."""
    if isinstance(outcome, Telegram):
        for driver in _serving(device.address[:2] + bytes(4) + device.address[6:]):
            outcome = driver.refine(outcome)
    return outcome
