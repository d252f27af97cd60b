"""Bits of a reading's status: what the meter said of itself."""

from __future__ import annotations

from enum import IntFlag


class Status(IntFlag):
    """Conditions that a meter or its radio reports with a reading.

    The set follows the status bits of SMR 5 (M-Bus) and EN 13757-3, clause on the status field.
    """

    BATTERY_LOW = 1 << 0
    PERMANENT_ERROR = 1 << 1
    TEMPORARY_ERROR = 1 << 2
    REVERSE_FLOW = 1 << 3
    CASE_TAMPER = 1 << 4
    MAGNETIC_TAMPER = 1 << 5
    CLOCK_UNSYNCHRONISED = 1 << 6
    VALVE_CLOSED = 1 << 7
    FLOW_ABOVE_MAXIMUM = 1 << 8
    TEMPERATURE_OUT_OF_RANGE = 1 << 9
    ESTIMATED_BY_SOURCE = 1 << 10
    TILT = 1 << 11


#: Conditions under which a reading counts, but is never called validated (rule ``tamper_flag``).
TAMPER = Status.CASE_TAMPER | Status.MAGNETIC_TAMPER | Status.REVERSE_FLOW | Status.TILT
