"""Columns become readings; every row is in exactly one of the two results."""

from __future__ import annotations

import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.reading.assemble import assemble, require_columns, unpivot
from citygate.reading.batch import ReadingBatch
from citygate.reading.mapping import ROW, ColumnMissingError, parse_mapping, plain_mapping

AT = "2026-01-01T00:00:00Z"
AT_US = 1_767_225_600_000_000


def test_the_plain_form():
    batch, refused = assemble(pl.DataFrame({"meter": ["A"], "time": [AT], "index_l": ["7"]}), plain_mapping())
    assert batch.rows.select("meter", "at_us", "index_l", "volume_l").rows() == [("A", AT_US, 7, None)]
    assert refused.is_empty()


def test_columns_named_as_a_batch():
    frame = ReadingBatch.of(
        pl.DataFrame(
            {"meter": ["A"], "at_us": [AT_US], "index_l": [7], "battery_mv": [3600], "received_us": [AT_US + 5]}
        )
    ).rows
    batch, refused = assemble(frame.drop("row"), plain_mapping())
    assert batch.rows.drop("row").equals(frame.drop("row"))
    assert refused.is_empty()


def test_a_row_is_refused_for_its_first_fault_and_kept_raw():
    frame = pl.DataFrame(
        {"meter": ["", "A", "A"], "time": ["x", AT, AT], "index_l": ["1", "1.5", "2"], ROW: [10, 11, 12]}
    )
    batch, refused = assemble(frame, plain_mapping())
    assert batch.rows["row"].to_list() == [12]
    assert refused.select("row", "field", "code").rows() == [
        (10, "meter", "field_missing"),
        (11, "index_l", "register_not_whole"),
    ]
    assert json.loads(refused["raw"][1]) == {"meter": "A", "time": AT, "index_l": "1.5"}


def test_an_interval_mapping_moves_starts_to_ends():
    mapping = parse_mapping(
        '[meter]\nvalue="house"\nprefix="uk-"\n[time]\ncolumn="start"\nzone="UTC"\nmarks="start"\n'
        '[energy]\ncolumn="kwh_x10"\nunit="kWh"\nscale="0.1"\nspan_s=3600\n[temperature]\ncolumn="c"\nunit="C"\n'
    )
    frame = pl.DataFrame({"start": ["2026-01-01 00:00"], "kwh_x10": [15], "c": [4.25]})
    batch, _ = assemble(frame, mapping)
    row = batch.rows.select("meter", "at_us", "energy_wh", "span_s", "temperature_mk").row(0)
    assert row == ("uk-house", AT_US + 3_600_000_000, 1500, 3600, 277_400)


def test_mean_power_becomes_energy_and_gauge_becomes_absolute():
    mapping = parse_mapping(
        '[meter]\ncolumn="m"\n[time]\ncolumns=["d", "t"]\nformat="%d.%m.%Y %H:%M"\nzone="Europe/Berlin"\n'
        '[energy]\ncolumn="gas_w"\nunit="W"\nspan_s=60\n[pressure]\ncolumn="p_mbar"\nunit="mbar"\ngauge=true\nambient_pa=101325\n'
    )
    frame = pl.DataFrame({"m": [5], "d": ["01.01.2026"], "t": ["01:00"], "gas_w": [1350.0], "p_mbar": ["22.5"]})
    batch, refused = assemble(frame, mapping)
    assert refused.is_empty()
    assert batch.rows.select("meter", "at_us", "energy_wh", "pressure_pa").row(0) == ("5", AT_US, 23, 103_575)


def test_a_column_whose_name_says_another_unit_is_refused():
    text = '[meter]\ncolumn="m"\n[time]\ncolumn="time"\n[register]\ncolumn="stand_m3"\nunit="l"\n'
    frame = pl.DataFrame({"m": ["A"], "time": [AT], "stand_m3": [5]})
    assert assemble(frame, parse_mapping(text))[1]["code"].to_list() == ["unit_mismatch"]
    assert assemble(frame, parse_mapping(text + 'unit_in_name="ignore"\n'))[0].rows["index_l"].to_list() == [5]


def test_feet_need_leave_to_round():
    text = '[meter]\ncolumn="m"\n[time]\ncolumn="time"\n[register]\ncolumn="x"\nunit="ft3"\n'
    frame = pl.DataFrame({"m": ["A"], "time": [AT], "x": [100]})
    assert assemble(frame, parse_mapping(text))[1]["code"].to_list() == ["register_not_whole"]
    assert assemble(frame, parse_mapping(text + "round=true\n"))[0].rows["index_l"].to_list() == [2832]


def test_wide_files():
    mapping = parse_mapping('[time]\ncolumn="time"\n[wide]\nquantity="register"\n[register]\nunit="m3"\n')
    frame = pl.DataFrame({"time": [AT, AT], "A": ["1.5", ""], "B": ["2", "x"], ROW: [2, 3]})
    batch, refused = assemble(*unpivot(frame, mapping))
    assert batch.rows.select("meter", "index_l", "row").rows() == [("A", 1500, 2), ("B", 2000, 2)]
    assert refused.select("row", "code").rows() == [(3, "number_unreadable")]


@pytest.mark.parametrize(
    "columns", [["time", "index_l"], ["meter", "index_l"], ["meter", "time"], ["meter", "time", "stand"]]
)
def test_files_that_cannot_give_readings_are_refused_before(columns):
    with pytest.raises(ColumnMissingError, match="--suggest"):
        require_columns(plain_mapping(), columns)


cell = st.one_of(st.none(), st.text(max_size=8), st.sampled_from([AT, "1", "2.5", "A", "nan"]))


@given(
    st.lists(st.fixed_dictionaries({"meter": cell, "time": cell, "index_l": cell, "pressure_pa": cell}), max_size=20)
)
def test_every_row_is_a_reading_or_refused(rows):
    frame = pl.DataFrame(rows, schema=dict.fromkeys(("meter", "time", "index_l", "pressure_pa"), pl.String))
    batch, refused = assemble(frame, plain_mapping())
    assert sorted(batch.rows["row"].to_list() + refused["row"].to_list()) == list(range(len(rows)))
    assert refused["raw"].null_count() == 0
