from __future__ import annotations

import json

import polars as pl
import pytest

from citygate.quantity.clock import US_PER_HOUR, CityClock
from citygate.report import figure
from citygate.report.export import ChartFailedError, ChartForm, browser_bundle, draw
from citygate.report.theme import Theme, dressed

ZONE = "Europe/Berlin"


def hours(count: int, start: str = "2026-01-10") -> pl.DataFrame:
    start_us = CityClock().parse(start)
    frame = pl.DataFrame(
        {
            "start": [start_us + k * US_PER_HOUR for k in range(count)],
            "volume_l": [100 * k for k in range(count)],
            "measured_share": [1.0 if k % 3 else 0.5 for k in range(count)],
            "estimated_share": [0.0 if k % 3 else 0.5 for k in range(count)],
            "missing_share": [1.0 if k == 4 else 0.0 for k in range(count)],
        }
    )
    told = figure.local_times(frame, "start", ZONE)
    return told.with_columns((pl.col("at") + pl.duration(hours=1)).alias("until"))


FIGURES = {
    "consumption": lambda theme: figure.consumption(hours(8), theme, modelled=False, title="volume [l]"),
    "modelled": lambda theme: figure.consumption(hours(8), theme, modelled=True, title="volume [l]"),
    "line": lambda theme: figure.line(
        hours(8), theme, column="volume_l", title="register [l]", modelled=True, step=True
    ),
    "totals": lambda theme: figure.totals(
        hours(4).with_columns(pl.lit("north").alias("group"), pl.col("volume_l").alias("volume_m3")), theme, ["north"]
    ),
    "arrivals": lambda theme: figure.arrivals(hours(4).rename({"volume_l": "rows"}), theme),
    "evidence": lambda theme: figure.evidence(
        hours(8), theme, column="volume_l", title="volume [l]",
        alarm=hours(1).select(pl.col("at").alias("begin"), pl.col("until").alias("end"), "at"),
    ),
    "empty": lambda theme: figure.consumption(hours(0), theme, modelled=False, title="volume [l]"),
}  # fmt: skip


@pytest.mark.parametrize("theme", Theme)
@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_draws_without_a_browser(name, theme):
    spec = dressed(FIGURES[name](theme), theme)
    assert draw(spec, ChartForm.SVG).startswith(b"<svg")
    assert json.loads(draw(spec, ChartForm.JSON)) == json.loads(json.dumps(spec))
    assert draw(spec, ChartForm.SVG) == draw(dressed(FIGURES[name](theme), theme), ChartForm.SVG)


def test_other_forms():
    spec = dressed(FIGURES["consumption"](Theme.LIGHT), Theme.LIGHT)
    assert draw(spec, ChartForm.PNG).startswith(b"\x89PNG")
    assert draw(spec, ChartForm.PDF).startswith(b"%PDF")


def test_missing_hours_are_a_gap_and_modelled_lines_are_dashed():
    spec = FIGURES["modelled"](Theme.LIGHT).to_dict()
    bars, missing, outline = (spec["datasets"][layer["data"]["name"]] for layer in spec["layer"])
    assert (len(bars), len(missing), len(outline)) == (7, 1, 8)
    assert outline[4]["volume_l"] is None
    assert spec["layer"][2]["mark"]["strokeDash"] == [4, 3]
    assert {row["quality"] for row in bars} == {"measured", "estimated"}


def test_readers_elsewhere_see_the_hours_of_the_city():
    row = hours(1).row(0, named=True)
    assert row["at"].isoformat() == "2026-01-10T06:00:00"
    assert row["when"] == "2026-01-10 06:00 +01:00"
    assert FIGURES["line"](Theme.LIGHT).to_dict()["encoding"]["x"]["scale"]["type"] == "utc"


def test_a_broken_chart_is_a_typed_error():
    with pytest.raises(ChartFailedError):
        draw({"mark": "nonsense"}, ChartForm.SVG)


def test_the_browser_bundle_needs_nothing_else():
    bundle = browser_bundle()
    assert b"vegaEmbed" in bundle
    assert not __import__("re").search(rb'(from|import)\s*["\']https?:', bundle)
