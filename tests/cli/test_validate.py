from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from citygate.cli.main import app
from citygate.cli.validate import NothingToValidateError, WrongBuildingsError
from citygate.validation.rules import WrongRulesError

HOUR_US = 3_600_000_000


@pytest.fixture
def readings(tmp_path):
    """Registers of two meters for 60 days: one sound, one with a day of absence and a broken row."""
    rng = np.random.default_rng(4)
    use_l = (rng.gamma(0.6, 60, (2, 60 * 24)) * (rng.random((2, 60 * 24)) < 0.6)).astype(np.int64)
    use_l[1, 300:330] = 0
    at_us = 1_700_000_000 // 3_600 * HOUR_US + np.arange(60 * 24) * HOUR_US
    frames = [pl.DataFrame({"meter": f"m{i}", "at_us": at_us, "index_l": np.cumsum(use_l[i])}) for i in range(2)]
    rows = pl.concat([*frames, frames[0].head(1).with_columns(index_l=pl.lit(-5, pl.Int64)), frames[1].tail(2)])
    path = tmp_path / "readings.parquet"
    rows.write_parquet(path)
    return path


def run(*arguments):
    return CliRunner().invoke(app, ["validate", *map(str, arguments)])


def test_files_are_validated_without_a_store(readings, tmp_path):
    out = tmp_path / "found.json"
    done = run(readings, "--format", "json", "-o", out)
    assert done.exit_code == 1
    found = {(row["meter"], row["code"]): row for row in json.loads(out.read_text())}
    assert found[None, "register_negative"]["count"] == 1
    assert found["m1", "duplicate"]["count"] == 2
    assert found["m1", "zero_run"]["size"] >= 30
    assert found["m1", "zero_run"]["from"].endswith("+01:00")
    assert ("m0", "zero_run") not in found


def test_a_store_tells_the_same_of_its_rows(readings, tmp_path):
    store = tmp_path / "store"
    assert CliRunner().invoke(app, ["ingest", str(readings), "--store", str(store)]).exit_code == 1
    files, kept = (
        pl.read_csv(run(*source, "--format", "csv").stdout.encode()) for source in ([readings], ["--store", store])
    )
    assert files.filter(~pl.col("code").is_in(["duplicate", "register_negative"])).rows() == kept.rows()


def test_sound_readings_exit_with_0(readings, tmp_path):
    sound = tmp_path / "sound.parquet"
    pl.read_parquet(readings).filter((pl.col("meter") == "m0") & (pl.col("index_l") >= 0)).write_parquet(sound)
    assert run(sound).exit_code == 0


def test_meters_that_are_described_have_limits(readings, tmp_path):
    meters = tmp_path / "meters.csv"
    meters.write_text("meter,qmax_lph\nm1,50\n")
    found = pl.read_csv(run(readings, "--meters", meters, "--format", "csv").stdout.encode())
    assert set(found.filter(pl.col("code") == "above_limit")["meter"]) == {"m1"}


def test_wrong_use_is_told(readings, tmp_path):
    assert isinstance(run().exception, NothingToValidateError)
    rules = tmp_path / "rules.toml"
    rules.write_text("[stuck_hours]\nvalue = 3\n")
    assert isinstance(run(readings, "--rules", rules).exception, WrongRulesError)
    areas = tmp_path / "areas.csv"
    areas.write_text("name,size\nm0,3\n")
    assert isinstance(run(readings, "--buildings", areas).exception, WrongBuildingsError)
