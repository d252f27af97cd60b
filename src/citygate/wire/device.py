"""Who speaks on an M-Bus: manufacturer letters, identity, kinds of device and the status byte.

References:
    EN 13757-7, tables of device types and of the status field; FLAG association for the letters.
"""

from __future__ import annotations

from dataclasses import dataclass

GAS = 0x03

#: Device types; the names without an entry are `reserved_XX`.
MEDIA: dict[int, str] = {
    0x00: "other",
    0x01: "oil",
    0x02: "electricity",
    0x03: "gas",
    0x04: "heat",
    0x05: "steam",
    0x06: "warm_water",
    0x07: "water",
    0x08: "heat_cost_allocator",
    0x09: "compressed_air",
    0x0A: "cooling",
    0x0B: "cooling_inlet",
    0x0C: "heat_inlet",
    0x0D: "heat_cooling",
    0x0E: "bus",
    0x0F: "unknown",
    0x10: "irrigation_water",
    0x11: "water_data_logger",
    0x12: "gas_data_logger",
    0x13: "gas_converter",
    0x14: "calorific_value",
    0x15: "hot_water",
    0x16: "cold_water",
    0x17: "dual_water",
    0x18: "pressure",
    0x19: "ad_converter",
    0x1A: "smoke_detector",
    0x1B: "room_sensor",
    0x1C: "gas_detector",
    0x20: "breaker",
    0x21: "valve",
    0x25: "customer_unit",
    0x28: "waste_water",
    0x29: "waste",
    0x2A: "carbon_dioxide",
    0x31: "communication_controller",
    0x32: "repeater",
    0x33: "repeater",
    0x36: "radio_converter",
    0x37: "radio_converter",
    0x38: "wired_adapter",
}

_APPLICATION = ("", "application_busy", "application_error", "alarm")
_FLAGS = ("low_power", "permanent_error", "temporary_error", "manufacturer_5", "manufacturer_6", "manufacturer_7")
_LETTER_A = 64
_KINDS = {name: kind for kind, name in reversed(MEDIA.items())}


@dataclass(frozen=True, slots=True)
class Device:
    """Address of a device.

    Attributes:
        address: Manufacturer (2 bytes), identity (4), version (1) and type (1), as the radio link layer orders them.
    """

    address: bytes

    @property
    def manufacturer(self) -> str:
        """Three letters; a device may use others than A to Z."""
        return letters(int.from_bytes(self.address[:2], "little"))

    @property
    def serial(self) -> str:
        """Eight digits as printed on the meter."""
        return self.address[5:1:-1].hex().upper()

    @property
    def version(self) -> int:
        """Generation of the device."""
        return self.address[6]

    @property
    def kind(self) -> int:
        """Device type."""
        return self.address[7]

    @property
    def medium(self) -> str:
        """Name of the device type."""
        return medium_name(self.kind)

    def named(self) -> tuple[str | None, str | None, int | None, str | None]:
        """Manufacturer, serial, version and medium; none of them where no address was sent."""
        if not any(self.address):
            return None, None, None, None
        return self.manufacturer, self.serial, self.version, self.medium


def from_transport(header: bytes) -> Device:
    """Return the device of a long transport header, which puts the identity before the manufacturer."""
    return Device(header[4:6] + header[:4] + header[6:8])


def from_names(manufacturer: str, serial: str, version: int, kind: int) -> Device:
    """Return the device of three letters, eight digits, version and type."""
    word = 0
    for letter in manufacturer:
        word = word << 5 | ord(letter) - _LETTER_A & 0x1F
    return Device((word & 0x7FFF).to_bytes(2, "little") + bytes.fromhex(serial)[::-1] + bytes([version, kind]))


def letters(code: int) -> str:
    """Return the three letters of a manufacturer code; its highest bit says only that the address is not unique."""
    return "".join(chr((code >> shift & 0x1F) + _LETTER_A) for shift in (10, 5, 0))


def medium_name(kind: int) -> str:
    """Return the name of a device type."""
    return MEDIA.get(kind) or f"reserved_{kind:02X}"


def status_names(status: int) -> tuple[str, ...]:
    """Return what a status byte reports."""
    application = _APPLICATION[status & 3]
    flags = [name for bit, name in enumerate(_FLAGS, start=2) if status >> bit & 1]
    return tuple(([application] if application else []) + flags)


def kind_of(medium: str) -> int:
    """Return the device type of a name."""
    if medium.startswith("reserved_"):
        return int(medium.removeprefix("reserved_"), 16)
    return _KINDS[medium]


def status_code(names: tuple[str, ...]) -> int:
    """Return the status byte of what it reports; names that no bit of it has are left out."""
    application = next((code for code, name in enumerate(_APPLICATION) if name and name in names), 0)
    return application | sum(1 << bit for bit, name in enumerate(_FLAGS, start=2) if name in names)
