from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl
from typer.testing import CliRunner

from citygate.cli.main import app
from detection.houses import house_flows, registers

if TYPE_CHECKING:
    from pathlib import Path


def leaking(folder: Path) -> Path:
    flow = house_flows(4, 30, seed=3)
    flow[0, 15 * 24 :] += 60
    rows = registers(flow).select(
        pl.format("m{}", "meter").alias("meter"),
        pl.from_epoch("at_us", "us").dt.replace_time_zone("UTC").dt.strftime("%+").alias("time"),
        "index_l",
    )
    rows.write_csv(folder / "readings.csv")
    return folder / "readings.csv"


def test_detect_reads_a_plain_file_and_writes_one_alarm_on_each_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["detect", str(leaking(tmp_path)), "--format", "jsonl"])
    assert result.exit_code == 0, result.output
    alarms = [json.loads(line) for line in result.output.splitlines()]
    (leak,) = [alarm for alarm in alarms if (alarm["meter"], alarm["kind"]) == ("m0", "continuous_flow")]
    assert list(leak) == ["meter", "kind", "from", "to", "at", "statistic", "threshold", "evidence"]
    assert leak["at"].endswith("+01:00")
    assert leak["statistic"] > leak["threshold"]
    assert 0 < leak["evidence"]["smallest_leak_lph"] < 60
    assert leak["evidence"]["readings"][-1]["at"] == leak["at"]


def test_detect_asks_for_a_store_or_files(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["detect"]).exit_code == 2
    assert CliRunner().invoke(app, ["detect", "x.csv", "--store", str(tmp_path)]).exit_code == 2
