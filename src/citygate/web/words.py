"""How figures and times are written on pages."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping

NOTHING = "\N{EN DASH}"
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400


def number(value: float | None, digit_count: int = 0) -> str:
    """Return a number with thousands apart; a dash for None.

    Example:
        >>> number(1506), number(12.345, 1)
        ('1,506', '12.3')
    """
    return NOTHING if value is None else f"{value:,.{digit_count}f}"


def percent(share: float | None) -> str:
    """Return a share as percent; never 100 % or 0 % when it is not exactly that.

    Example:
        >>> percent(1.0), percent(0.9996), percent(0.0001)
        ('100 %', '99.9 %', '0.1 %')
    """
    if share is None:
        return NOTHING
    shown = round(share * 100, 1)
    if shown >= 100 and share < 1:  # noqa: PLR2004 - percent
        shown = 99.9
    if shown <= 0 < share:
        shown = 0.1
    return f"{shown:g} %"


def when(text: str | None) -> str:
    """Return an ISO time of the API as local date and time to the minute."""
    return NOTHING if not text else text[:16].replace("T", " ")


def age(seconds: float | None) -> str:
    """Return how long ago, in the unit a person would use.

    Example:
        >>> age(40), age(3000), age(90_000), age(None)
        ('40 s ago', '50 min ago', '25 h ago', 'never')
    """
    if seconds is None:
        return "never"
    if seconds < _MINUTE_S:
        return f"{max(0, int(seconds))} s ago"
    if seconds < 2 * _HOUR_S:
        return f"{int(seconds // _MINUTE_S)} min ago"
    if seconds < 3 * _DAY_S:
        return f"{int(seconds // _HOUR_S)} h ago"
    return f"{int(seconds // _DAY_S)} days ago"


def celsius(temperature_mk: int | None) -> str:
    """Return a temperature [mK] in °C."""
    return NOTHING if temperature_mk is None else f"{temperature_mk / 1000 - 273.15:.1f}"


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return a count with its noun.

    Example:
        >>> plural(1, "case"), plural(2, "case"), plural(0, "reading")
        ('1 case', '2 cases', 'no readings')
    """
    return f"{number(count) if count else 'no'} {one if count == 1 else many or one + 's'}"


def first_up(text: str) -> str:
    """Return text with its first letter in upper case, the rest as it is."""
    return text[:1].upper() + text[1:]


def query(period: Mapping[str, str], keep: Mapping[str, object]) -> str:
    """Return the query of a link that keeps the filters and changes the period."""
    return urlencode({**{name: value for name, value in keep.items() if value}, **period})


def asked_period(start: str, end: str, gas_day_hour: int) -> dict[str, object]:
    """Return a period of the API as gas days for the picker, and the periods of the same length before and after it.

    Args:
        start: First instant, ISO with offset.
        end: End, excluded, ISO with offset.
        gas_day_hour: Local hour at which the gas day begins.
    """
    first, last = (_gas_day(text, gas_day_hour) for text in (start, end))
    last = max(last, first + timedelta(days=1))
    length = last - first
    return {
        "first": first.isoformat(),
        "end": last.isoformat(),
        "days": length.days,
        "earlier": {"from": (first - length).isoformat(), "to": first.isoformat()},
        "later": {"from": last.isoformat(), "to": (last + length).isoformat()},
    }


def _gas_day(text: str, gas_day_hour: int) -> date:
    return (datetime.fromisoformat(text).replace(tzinfo=None) - timedelta(hours=gas_day_hour)).date()


FILTERS = {
    "n": number,
    "pc": percent,
    "when": when,
    "age": age,
    "celsius": celsius,
    "plural": plural,
    "first_up": first_up,
    "query": query,
}
