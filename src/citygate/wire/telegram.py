"""What every codec gives: a telegram, or the reason why there is none.

Any input gives one of the two and never an exception: bad data is a value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal


class Function(StrEnum):
    """Which of its values over time a register shows."""

    INSTANTANEOUS = "instantaneous"
    MAXIMUM = "maximum"
    MINIMUM = "minimum"
    ERROR = "error"


class Basis(StrEnum):
    """Conditions for which a gas volume is stated; volumes of two bases are never added."""

    MEASURED = "measured"
    TEMPERATURE_CONVERTED = "temperature_converted"
    BASE = "base"
    CORRECTED = "corrected"


@dataclass(frozen=True, slots=True)
class Value:
    """One register of a telegram.

    Attributes:
        name: What it is, as `volume`, `flow`, `temperature`, `datetime`, `error_flags`.
        value: Exact value; null where the meter says that it has none, or sent a date that does not exist.
        unit: `m3`, `m3/h`, `Wh`, `J`, `W`, `Cel`, `K`, `bar`, `s`, `V`, `A`; empty where there is none.
        storage: Which stored value; 0 is the present one.
        tariff: Which tariff; 0 is the total.
        function: Whether it is the present value or an extreme.
        basis: Conditions of a volume, where the telegram states them.
        subunit: Which part of the device.
        note: Why the value is null or unlike others; empty when all is well.
    """

    name: str
    value: int | Decimal | str | None
    unit: str = ""
    storage: int = 0
    tariff: int = 0
    function: Function = Function.INSTANTANEOUS
    basis: Basis | None = None
    subunit: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Security:
    """How a telegram was protected.

    Attributes:
        mode: `none`, or the name of the scheme as `mode 5 (AES-128-CBC)`.
        verified: Whether a key proved its origin. Decrypting is no proof: mode 5 is never verified.
    """

    mode: str = "none"
    verified: bool = False


@dataclass(frozen=True, slots=True)
class Telegram:
    """What a meter said.

    Attributes:
        manufacturer: Three letters (FLAG) or the name that the protocol carries.
        serial: Identity as printed on the meter.
        version: Generation of the device or version of the protocol, as sent.
        medium: `gas`, `water`, `electricity`, ...
        time: The meter's own time as ISO 8601 text, with an offset only where the meter sent one.
        values: Registers in the order of the telegram.
        status: Names of what the meter reports; empty when it reports nothing.
        security: How the telegram was protected.
        notes: What the reader should know, as bytes that were not understood.
    """

    manufacturer: str | None = None
    serial: str | None = None
    version: int | str | None = None
    medium: str | None = None
    time: str | None = None
    values: tuple[Value, ...] = ()
    status: tuple[str, ...] = ()
    security: Security = field(default_factory=Security)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unread:
    """Why a frame gives no telegram.

    Attributes:
        reason: Stable name, as `crc_wrong`, `too_short`, `key_missing`, `key_wrong`, `mac_wrong`, `not_a_frame`.
        detail: One sentence for a person.
        at_b: Byte of the frame where reading stopped.
        partial: What could be read before, identity at most; no value in it is to be used.
    """

    reason: str
    detail: str
    at_b: int = 0
    partial: Telegram | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A run of bytes of a frame and what it means, for taking a frame apart.

    Attributes:
        layer: Layer it belongs to, as `link`, `transport`, `records`.
        start_b: First byte, counted in the frame without checksums and decrypted.
        raw: The bytes.
        text: Meaning for a person.
    """

    layer: str
    start_b: int
    raw: bytes
    text: str


#: The outcome of every codec.
Outcome = Telegram | Unread
