"""Proposed mappings read the file they were made for, and read it right."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import polars as pl
import pytest

from citygate.link.files import read_chunks
from citygate.link.sample import sample
from citygate.reading.assemble import assemble, require_columns, unpivot
from citygate.reading.mapping import parse_mapping
from citygate.reading.suggest import suggest

sys.path.insert(0, str(Path(__file__).parents[1] / "link"))
from workbook import write_workbook

HOURS = pl.datetime_range(pl.datetime(2026, 1, 1), pl.datetime(2026, 1, 3, 23), "1h", eager=True)
LITRES = [100_000 + 7 * step + step % 3 for step in range(len(HOURS))]
FIRST_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z


def proposed(path):
    found = sample(path)
    mapping = parse_mapping(suggest(found.frame, found.style, path.name))
    frames, refusals = [], 0
    for chunk in read_chunks(path, mapping.file):
        require_columns(mapping, chunk.frame.columns)
        batch, refused = assemble(*unpivot(chunk.frame, mapping))
        frames.append(batch.rows)
        refusals += refused.height + len(chunk.unread)
    assert refusals == 0
    return mapping, pl.concat(frames)


def test_german_style(tmp_path):
    path = tmp_path / "export.csv"
    lines = ["Export vom 04.01.2026", "Zählernummer;Datum;Zählerstand [m³];Temperatur °C"]
    for at, litres in zip(HOURS, LITRES, strict=True):
        lines.append(f"7GAS0001;{at:%d.%m.%Y %H:%M};{litres // 1000},{litres % 1000:03d};4,5")
    path.write_bytes("\r\n".join(lines).encode("cp1252"))
    mapping, rows = proposed(path)
    assert (mapping.file.delimiter, mapping.file.decimal, mapping.file.skip_rows, mapping.file.encoding) == (
        ";",
        ",",
        1,
        "cp1252",
    )
    assert mapping.time.zone == "Europe/Berlin"
    assert rows["meter"].unique().to_list() == ["7GAS0001"]
    assert rows["index_l"].to_list() == LITRES
    assert rows["at_us"][0] == FIRST_US - 3_600_000_000
    assert rows["temperature_mk"].unique().to_list() == [277_650]


def test_american_style(tmp_path):
    path = tmp_path / "usage.csv"
    usage = [round(1.5 + (step % 5) * 0.25, 2) for step in range(len(HOURS))]
    lines = ["Meter ID,Timestamp,Usage (therms)"]
    lines += [
        f"A-{step % 2},{at:%m/%d/%Y %I:%M %p},{use}" for step, (at, use) in enumerate(zip(HOURS, usage, strict=True))
    ]
    lines += ['A-0,01/31/2026 01:00 PM,"1,234.5"']
    path.write_text("\n".join(lines))
    mapping, rows = proposed(path)
    assert mapping.time.format == "%m/%d/%Y %I:%M %p"
    assert mapping.file.thousands == ","
    assert rows["energy_wh"][0] == 43_961
    assert rows["span_s"].unique().to_list() == [7_200]
    assert rows["energy_wh"][-1] == round(1234.5 * 29_307.107)


def test_excel(tmp_path):
    path = tmp_path / "stand.xlsx"
    body = [["M1", f"{at:%Y-%m-%d %H:%M:%S}", litres / 1000] for at, litres in zip(HOURS, LITRES, strict=True)]
    write_workbook(path, [["meter", "time", "Stand m3"], *body])
    mapping, rows = proposed(path)
    assert mapping.quantities["index_l"].unit.name == "m3"
    assert rows["index_l"].to_list() == LITRES
    assert rows["row"].to_list() == list(range(2, len(LITRES) + 2))


def test_wide(tmp_path):
    path = tmp_path / "wide.csv"
    pl.DataFrame({"time": HOURS.dt.strftime("%Y-%m-%dT%H:%M:%SZ"), "H1": LITRES, "H2": LITRES, "H3": LITRES}).write_csv(
        path
    )
    mapping, rows = proposed(path)
    assert mapping.wide is not None
    assert rows.height == 3 * len(HOURS)
    assert rows.filter(pl.col("meter") == "H2")["index_l"].to_list() == LITRES


def test_ndjson(tmp_path):
    path = tmp_path / "push.ndjson"
    lines = [
        {
            "serial": "S1",
            "ts": FIRST_US // 1000 + step * 900_000,
            "reading_l": litres,
            "pressure_mbar": 22.5,
            "battery_mv": 3600,
        }
        for step, litres in enumerate(LITRES)
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    mapping, rows = proposed(path)
    assert (mapping.time.format, mapping.time.unit) == ("epoch", "ms")
    assert rows["at_us"][1] == FIRST_US + 900_000_000
    assert rows["index_l"].to_list() == LITRES
    assert rows["pressure_pa"].unique().to_list() == [103_575]
    assert rows["battery_mv"].unique().to_list() == [3600]


@pytest.mark.parametrize(
    ("name", "meters", "span_s", "kwh"),
    [
        ("pip_real_gas/uk_home_hourly.parquet", 1, 3600, "gas_kwh"),
        ("pip_real_gas/be_gas_2016_hour.parquet", 3, 3600, "gas_w"),
        ("pip_real_gas/be_gas_dec2016_min.parquet", 3, 60, "gas_w"),
        ("cambridge_estate_hourly/gas_hourly.parquet", 67, 3600, "kwh_x10"),
    ],
)
def test_real_files(shared, name, meters, span_s, kwh):
    path = shared / "data" / name
    if not path.exists():
        pytest.skip(f"{name} is not here")
    mapping, rows = proposed(path)
    frame = pl.read_parquet(path)
    factor = {"gas_kwh": 1000, "gas_w": span_s / 3600, "kwh_x10": 100}[kwh]
    assert mapping.time.zone == "UTC"
    assert rows["meter"].n_unique() == meters
    assert rows["span_s"].unique().to_list() == [span_s]
    # The minute file holds instants without a value.
    assert (
        rows["energy_wh"].null_count() == frame[kwh].fill_nan(None).null_count()
        if frame[kwh].dtype.is_float()
        else True
    )
    assert rows["energy_wh"].sum() == pytest.approx(frame[kwh].cast(pl.Float64).fill_nan(None).sum() * factor, rel=2e-3)
