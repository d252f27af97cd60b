from __future__ import annotations

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from citygate.cli import simulate
from citygate.errors import CitygateError
from citygate.simulate.inject import SIZES

RUN = CliRunner()
APP = typer.Typer()
simulate.register(APP)


def ok(*words: object) -> str:
    outcome = RUN.invoke(APP, ["simulate", *map(str, words)])
    assert outcome.exit_code == 0, outcome.output
    return outcome.output


def test_a_city_is_written(tmp_path):
    said = ok(
        "--meters",
        10,
        "--days",
        2,
        "--seed",
        1,
        "--out",
        tmp_path,
        "--leaks",
        "count=2,min=50,max=60",
        "--start",
        "2026-02-01",
    )
    assert "10 meters" in said
    truth = pl.read_parquet(tmp_path / "truth.parquet")
    leaks = truth.filter(pl.col("kind").str.starts_with("leak"))
    assert leaks.height == 2
    assert leaks["size"].is_between(50, 60).all()
    assert pl.read_parquet(tmp_path / "meters.parquet").height == 10
    assert pl.read_parquet(tmp_path / "weather.parquet").columns == ["at_us", "temperature_mk"]


def test_a_clean_city_has_an_empty_truth(tmp_path):
    ok("--meters", 10, "--days", 1, "--out", tmp_path, "--clean", "--faults", "none", "--interval", "15m")
    assert pl.read_parquet(tmp_path / "truth.parquet").is_empty()
    assert pl.read_parquet(tmp_path / "readings.parquet").height == 10 * 96


def test_the_town_brings_its_network(tmp_path):
    ok("--town", "--days", 1, "--out", tmp_path)
    assert {path.stem for path in tmp_path.iterdir()} == {
        "readings",
        "meters",
        "buildings",
        "weather",
        "truth",
        "pipes",
        "zones",
    }


def test_faults_are_injected_into_a_file(tmp_path):
    ok("--meters", 60, "--days", 4, "--out", tmp_path / "city", "--clean")
    readings = tmp_path / "city" / "readings.parquet"
    ok(
        "inject",
        readings,
        "--per-class",
        2,
        "--meters",
        tmp_path / "city" / "meters.parquet",
        "--out",
        tmp_path / "faulty",
    )
    assert pl.read_parquet(tmp_path / "faulty" / "truth.parquet")["kind"].n_unique() == len(SIZES)
    assert pl.read_parquet(tmp_path / "faulty" / "readings.parquet").height == pl.read_parquet(readings).height


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--meters", "9"], "bad_plan"),
        (["--leaks", "many"], "bad_leaks"),
        (["--start", "soon"], "bad_time"),
        (["--weather", "nowhere.parquet"], "bad_weather"),
        (["inject", "nowhere.parquet"], "unreadable_file"),
        (["--meters", "10", "--days", "1", "--out", "/proc/nowhere"], "output"),
    ],
)
def test_bad_use_is_a_typed_error(words, code):
    outcome = RUN.invoke(APP, ["simulate", *words])
    assert isinstance(outcome.exception, CitygateError)
    assert outcome.exception.code == code


@pytest.mark.parametrize("words", [["--interval", "2h"], ["inject", "x.parquet", "--classes", "flood"]])
def test_wrong_words_are_wrong_usage(words):
    assert RUN.invoke(APP, ["simulate", *words]).exit_code == 2
