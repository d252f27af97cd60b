# ruff: noqa: DTZ001 - naive times are what is tested
"""Times become instants, or are refused by name."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.quantity.clock import to_us as instant
from citygate.reading.mapping import TimeColumn
from citygate.reading.moment import to_us


def read(values, dtype=None, **style):
    column, flaws = to_us(pl.Series("t", values, dtype=dtype), TimeColumn("t", **style), "at_us")
    codes = [next((flaw.code for flaw in flaws if flaw.mask[row]), None) for row in range(len(values))]
    return column.to_list(), codes


offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.lists(st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=offsets), min_size=1, max_size=30))
def test_iso_times_with_any_offset_are_exact(moments):
    assert read([moment.isoformat() for moment in moments]) == (
        [instant(moment) for moment in moments],
        [None] * len(moments),
    )


def test_forms_of_iso():
    noon = instant(datetime(2026, 1, 31, 12, tzinfo=UTC))
    forms = [
        "2026-01-31T12:00:00Z",
        "2026-01-31 12:00:00+00:00",
        "2026-01-31T12:00Z",
        "2026-01-31T13:00:00+0100",
        "2026-01-31T13:00:00.000000000+01",
    ]
    for form in forms:
        assert read([form]) == ([noon], [None])
    assert read(forms) == ([noon] * len(forms), [None] * len(forms))


def test_naive_times_are_refused_and_the_fix_is_named():
    column, flaws = to_us(pl.Series(["2026-01-31T12:00:00"]), TimeColumn("t"), "at_us")
    assert column.to_list() == [None]
    assert "zone" in flaws[0].message
    for value, kind in ((datetime(2026, 1, 31), None), (date(2026, 1, 31), None)):
        assert read([value], kind)[1] == ["time_naive"]


def test_spring_and_autumn():
    berlin = {"zone": "Europe/Berlin"}
    times = ["2026-03-29 01:59:59", "2026-03-29 02:00:00", "2026-03-29 02:59:59", "2026-03-29 03:00:00"]
    at_us, codes = read(times, **berlin)
    assert codes == [None, "time_nonexistent", "time_nonexistent", None]
    assert at_us[3] - at_us[0] == 1_000_000
    times = ["2026-10-25 01:59:59", "2026-10-25 02:00:00", "2026-10-25 03:00:00"]
    at_us, codes = read(times, **berlin)
    assert codes == [None, "time_ambiguous", None]
    early, late = (read(times, **berlin, ambiguous=which)[0][1] for which in ("earliest", "latest"))
    assert (early - at_us[0], late - early, at_us[2] - late) == (1_000_000, 3_600_000_000, 3_600_000_000)
    assert read([datetime(2026, 10, 25, 2)], **berlin)[1] == ["time_ambiguous"]


def test_patterns_epochs_and_dates():
    noon = instant(datetime(2026, 1, 31, 12, tzinfo=UTC))
    assert read(["31.01.2026 13:00", "32.01.2026 13:00"], format="%d.%m.%Y %H:%M", zone="Europe/Berlin") == (
        [noon, None],
        [None, "time_unreadable"],
    )
    assert read(["01/31/2026 12:00 PM"], format="%m/%d/%Y %I:%M %p", zone="UTC")[0] == [noon]
    assert read(["31.01.2026"], format="%d.%m.%Y", zone="UTC")[0] == [noon - 12 * 3_600_000_000]
    for unit, scale in (("s", 1_000_000), ("ms", 1_000), ("us", 1)):
        assert read([noon // scale, str(noon // scale)][:1], format="epoch", unit=unit)[0] == [noon]
    assert read([str(noon * 1_000)], format="epoch", unit="ns")[0] == [noon]
    assert read([1.5, float("inf")], format="epoch", unit="s") == ([1_500_000, None], [None, "time_unreadable"])
    assert read([2**62], format="epoch", unit="s")[1] == ["time_unreadable"]
    assert read([noon])[1] == ["time_unreadable"]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_datetime_columns(unit):
    moment = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert read([moment, None], pl.Datetime(unit, "UTC"))[0] == [instant(moment), None]
    assert read([moment.replace(tzinfo=None)], pl.Datetime(unit), zone="UTC")[0] == [instant(moment)]


@given(
    st.lists(st.one_of(st.none(), st.text(max_size=30)), min_size=1, max_size=10),
    st.sampled_from(["iso", "epoch", "%d.%m.%Y %H:%M", "%"]),
)
def test_any_text_gives_an_instant_or_a_code(values, form):
    found, codes = read(values, pl.String, format=form, zone="Europe/Berlin")
    for value, at_us, code in zip(values, found, codes, strict=True):
        assert at_us is not None or code is not None or value is None or not value.strip()
