"""The codes of validation: why a row was refused, and what a kept row was found to be."""

from __future__ import annotations

from enum import IntFlag, StrEnum

RULE_SET = "2026.1"


class Refusal(StrEnum):
    """Why a row went to quarantine. Stable: reports, the API and the docs show these names."""

    FIELD_MISSING = "field_missing"
    TIME_UNREADABLE = "time_unreadable"
    TIME_NAIVE = "time_naive"
    TIME_AMBIGUOUS = "time_ambiguous"
    TIME_NONEXISTENT = "time_nonexistent"
    TIME_FUTURE = "time_future"
    TIME_TOO_OLD = "time_too_old"
    NUMBER_UNREADABLE = "number_unreadable"
    REGISTER_NOT_WHOLE = "register_not_whole"
    REGISTER_NEGATIVE = "register_negative"
    REGISTER_TOO_LARGE = "register_too_large"
    AMOUNT_NEGATIVE = "amount_negative"
    SPAN_MISSING = "span_missing"
    ABOVE_METER_LIMIT = "above_meter_limit"
    UNIT_UNKNOWN = "unit_unknown"
    UNIT_MISMATCH = "unit_mismatch"
    METER_UNKNOWN = "meter_unknown"
    METER_NOT_IN_PLACE = "meter_not_in_place"
    NOTHING_MEASURED = "nothing_measured"
    PRESSURE_IMPLAUSIBLE = "pressure_implausible"
    TEMPERATURE_IMPLAUSIBLE = "temperature_implausible"
    FLOW_IMPLAUSIBLE = "flow_implausible"


class Verdict(IntFlag):
    """What the rules on a series found of a kept reading: of the readings held, never of their order of arrival."""

    REGISTER_BACK = 1 << 0
    ABOVE_LIMIT = 1 << 1
    OUTLIER = 1 << 2
    ROLLOVER = 1 << 3
    SPIKE = 1 << 4
    ZERO_RUN = 1 << 5
    STUCK = 1 << 6
    LOW_FLOW = 1 << 7
    PULSE_QUANTUM = 1 << 8
    EXCHANGE = 1 << 9
    TAMPER = 1 << 10
    REVISED = 1 << 11
    UNIT_SUSPECT = 1 << 12
    APPORTIONED = 1 << 13
    OVERLAP = 1 << 14
    CLOCK_DRIFT = 1 << 15


#: A reading with one of these is kept, but does not bound consumption.
NOT_FINAL = Verdict.OUTLIER
