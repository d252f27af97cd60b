"""The rules on a single row."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from citygate.fleet.registry import Registry
from citygate.reading.batch import ReadingBatch
from citygate.validation.admit import Limits, admit

NOW_US = 1_770_000_000_000_000
LIMITS = Limits()
REGISTRY = Registry.of(
    pl.DataFrame(
        {
            "meter": ["B", "A", "A", "NEW"],
            "zone": ["north", "south", "west", None],
            "valid_from_us": [None, None, NOW_US - 1_000_000, None],
            "valid_to_us": [None, NOW_US - 1_000_000, None, None],
            "qmax_lph": [6_000, 6_000, 16_000, None],
        }
    )
)


def codes(**columns):
    batch = ReadingBatch.of(
        pl.DataFrame({"meter": ["B"], "at_us": [NOW_US]} | {name: [value] for name, value in columns.items()})
    )
    return admit(batch, REGISTRY, NOW_US, LIMITS)[1]["code"].to_list()


def test_limits_are_where_they_are_said_to_be():
    assert codes(index_l=0, at_us=NOW_US + 120_000_000) == []
    assert codes(index_l=0, at_us=NOW_US + 120_000_001) == ["time_future"]
    assert codes(index_l=99_999_999) == []
    assert codes(index_l=100_000_000) == ["register_too_large"]
    assert codes(volume_l=7_200, span_s=3_600) == []
    assert codes(volume_l=7_202, span_s=3_600) == ["above_meter_limit"]
    assert codes(flow_lph=7_200) == []
    assert codes(flow_lph=-7_201) == ["flow_implausible"]
    assert codes(status=1) == []
    assert codes() == codes(span_s=3_600) == ["nothing_measured"]


def test_a_meter_that_nobody_described_is_not_refused_for_a_guess():
    assert codes(meter="NEW", volume_l=500_000, span_s=3_600) == []
    assert codes(meter="NEW", volume_l=50_000_000, span_s=3_600) == ["above_meter_limit"]


def test_the_registry_is_asked_as_of_the_reading():
    rows = pl.DataFrame(
        {
            "meter": ["A", "A", "B"],
            "at_us": [NOW_US - 1_000_000, NOW_US - 2_000_000, NOW_US],
            "volume_l": [9_000] * 3,
            "span_s": [3_600] * 3,
        }
    )
    valid, refused = admit(ReadingBatch.of(rows), REGISTRY, NOW_US, LIMITS)
    # Only the larger meter that hangs there now can have passed 9 m³ in an hour.
    assert valid.rows.select("meter", "at_us").rows() == [(1, NOW_US - 1_000_000)]
    assert refused.select("row", "code").rows() == [(1, "above_meter_limit"), (2, "above_meter_limit")]


def test_the_batch_is_sorted_and_revisions_stay_in_order():
    rows = pl.DataFrame(
        {"meter": ["B", "A", "B", "B"], "at_us": [NOW_US, NOW_US, NOW_US - 5, NOW_US], "index_l": [3, 1, 2, 1]}
    )
    valid, _ = admit(ReadingBatch.of(rows), REGISTRY, NOW_US, LIMITS)
    assert valid.rows.select("meter", "index_l").rows() == [(0, 2), (0, 3), (0, 1), (1, 1)]


numbers = st.one_of(st.none(), st.integers(-(2**60), 2**60), st.integers(0, 400_000))


@given(
    st.lists(
        st.fixed_dictionaries(
            {"meter": st.sampled_from(["A", "B", "NEW", "?", ""]), "at_us": st.integers(-(2**62), 2**62)}
            | dict.fromkeys(
                ("index_l", "volume_l", "energy_wh", "span_s", "flow_lph", "pressure_pa", "temperature_mk"), numbers
            )
        ),
        max_size=20,
    )
)
def test_every_row_is_valid_or_refused(rows):
    kinds = {
        name: kind for name, kind in ReadingBatch.columns.items() if name in (rows[0] if rows else ("meter", "at_us"))
    }
    batch = ReadingBatch.of(pl.DataFrame(rows, schema=kinds))
    valid, refused = admit(batch, REGISTRY, NOW_US, LIMITS)
    assert valid.rows.height + refused.height == len(rows)
    assert refused["row"].n_unique() == refused.height
    assert valid.rows.select("meter", "at_us").equals(valid.rows.select("meter", "at_us").sort("meter", "at_us"))
