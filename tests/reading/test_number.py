"""Numbers become whole units exactly, in any style."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.reading.mapping import FileStyle
from citygate.reading.number import Target, to_whole
from citygate.reading.unit import UNITS, find_unit, unit_in_name

GERMAN = FileStyle(decimal=",", thousands=".")


def read(values, unit="m3", *, exact=True, style=None, scale=1, dtype=None):
    entry = UNITS[unit]
    target = Target("index_l", entry, entry.factor * Fraction(scale), entry.offset, exact)
    column, flaws = to_whole(pl.Series("x", values, dtype=dtype), target, style or FileStyle())
    codes = [next((flaw.code for flaw in flaws if flaw.mask[row]), None) for row in range(len(values))]
    return column.to_list(), codes


@given(st.integers(0, 10**12 - 1))
def test_every_register_in_cubic_metres_is_exact(index_l):
    text = f"{index_l // 1000}.{index_l % 1000:03d}"
    assert read([text, "0.5"]) == ([index_l, 500], [None, None])
    assert read([Decimal(text)], dtype=pl.Decimal(20, 3)) == ([index_l], [None])
    assert read([f"{index_l // 1000:,}".replace(",", ".") + f",{index_l % 1000:03d}"], style=GERMAN) == (
        [index_l],
        [None],
    )


@given(st.decimals(0, 10**6, allow_nan=False, allow_infinity=False, places=6))
def test_a_register_is_whole_litres_or_refused(volume_m3):
    found, codes = read([f"{volume_m3:f}"])
    litres = volume_m3 * 1000
    assert (found, codes) == (([int(litres)], [None]) if litres == int(litres) else ([None], ["register_not_whole"]))


@given(st.decimals(-(10**6), 10**6, allow_nan=False, allow_infinity=False, places=5))
def test_amounts_round_half_away_from_zero(energy_kwh):
    found, _ = read([f"{energy_kwh:f}"], "kWh", exact=False)
    assert found == [int((energy_kwh * 1000).quantize(Decimal(1), "ROUND_HALF_UP"))]


def test_binary_floats_in_litres_are_refused_and_the_fix_is_named():
    entry = UNITS["l"]
    column, flaws = to_whole(
        pl.Series([1.0, None]), Target("index_l", entry, entry.factor, entry.offset, exact=True), FileStyle()
    )
    assert column.to_list() == [None, None]
    assert flaws[0].mask.to_list() == [True, False]
    assert 'unit = "m3"' in flaws[0].message


def test_binary_floats_in_cubic_metres_pass_when_they_mean_a_litre():
    assert read([99999.998, 0.1 + 0.2, 1.0005, None]) == (
        [99_999_998, 300, None, None],
        [None, None, "register_not_whole", None],
    )
    assert read([99999.998], dtype=pl.Float32)[1] == ["register_not_whole"]


def test_a_point_in_a_file_with_decimal_commas_is_no_number():
    assert read(["12.5", "1.234", "1.234,5", "1,5"], style=GERMAN) == (
        [None, 1_234_000, 1_234_500, 1_500],
        ["number_unreadable", None, None, None],
    )
    assert read(["12.5"], style=FileStyle(decimal=","))[1] == ["number_unreadable"]


def test_units_within_values():
    values = ["7 m3", "7 m³", "7 l", "7 kWh", "7 foo", "x"]
    assert read(values) == (
        [7000, 7000, 7000, 7000, 7000, None],
        [None, None, "unit_mismatch", "unit_mismatch", "unit_unknown", "number_unreadable"],
    )


def test_huge_numbers_stay_huge_and_do_not_wrap():
    found, codes = read(["123456789012345678901234567890", "-99999999999999999999", str(2**63 - 1)], "l")
    assert codes == [None] * 3
    assert found[0] >= 2**59
    assert found[1] <= -(2**59)
    assert found[2] >= 2**59
    assert read([2**64 - 1], "m3", dtype=pl.UInt64)[0][0] >= 2**59


def test_temperatures_scales_and_feet():
    assert read(["20.5", "-3"], "C", exact=False)[0] == [293_650, 270_150]
    assert read(["68"], "F", exact=False)[0] == [293_150]
    assert read([15, -15], "kWh", exact=False, scale="0.1")[0] == [1500, -1500]
    assert read([1], "ccf", exact=False)[0] == [2832]
    assert read(["1"], "therm", exact=False)[0] == [29_307]


@given(st.lists(st.one_of(st.none(), st.text(max_size=12)), min_size=1, max_size=20))
def test_any_text_gives_a_number_a_null_or_a_flaw(values):
    for style in (FileStyle(), GERMAN):
        found, codes = read(values, dtype=pl.String, style=style)
        nulls = set(style.null)
        for value, number, code in zip(values, found, codes, strict=True):
            assert number is not None or code is not None or value is None or value.strip() in nulls


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("Stand [m³]", "m3"),
        ("kwh_x10", "kWh"),
        ("Temp (°C)", "C"),
        ("p_mbar", "mbar"),
        ("energyKWh", "kWh"),
        ("volume", None),
        ("status", None),
    ],
)
def test_units_in_names(name, unit):
    found = unit_in_name(name)
    assert (found.name if found else None) == unit


def test_one_letter_units_count_only_where_they_fit():
    assert unit_in_name("index_l") is None
    assert unit_in_name("index_l", UNITS["l"].kind) is UNITS["l"]
    assert unit_in_name("gas_w", UNITS["W"].kind) is UNITS["W"]
    assert all(find_unit(name) is unit for name, unit in UNITS.items())
