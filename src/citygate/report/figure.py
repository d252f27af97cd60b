"""Every chart of the project, declared once: a frame in, an Altair chart out; pages, reports and docs show the same.

Times are local wall-clock times in the column ``at`` (`pl.Datetime` without a zone), which the charts draw as they
stand, so a reader far away sees the hours of the city. ``when`` is the text that a tooltip shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import polars as pl

from citygate.report.theme import PALETTE, SERIES, Theme

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What `alt.layer` returns.
Layers = alt.LayerChart | alt.FacetChart

WIDTH = 720
HEIGHT = 220
#: Days by their date, hours on a clock of 24.
_TICKS = (
    "utchours(datum.value) == 0 && utcminutes(datum.value) == 0"
    " ? utcFormat(datum.value, '%a %d %b') : utcFormat(datum.value, '%H:%M')"
)
_DASH = [4, 3]


def local_times(frame: pl.DataFrame, column: str, zone: str) -> pl.DataFrame:
    """Return the frame with ``at`` (local wall clock) and ``when`` (the same as text with its offset).

    Args:
        frame: Rows with an instant.
        column: Name of the instant [µs UTC].
        zone: IANA time zone of the city.
    """
    local = pl.col(column).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(zone)
    return frame.with_columns(
        local.dt.replace_time_zone(None).alias("at"), local.dt.to_string("%Y-%m-%d %H:%M %:z").alias("when")
    )


def quality(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with ``quality``: measured, estimated or missing, from the shares of each row."""
    name = (
        pl.when(pl.col("missing_share") > 0)
        .then(pl.lit("missing"))
        .when(pl.col("estimated_share") > 0)
        .then(pl.lit("estimated"))
    )
    return frame.with_columns(name.otherwise(pl.lit("measured")).alias("quality"))


def consumption(frame: pl.DataFrame, theme: Theme, *, modelled: bool, title: str) -> Layers:
    """Draw volume per period: solid measured, lighter estimated, a gap where missing, a dashed outline where modelled.

    Args:
        frame: ``at``, ``until`` (local), ``when``, ``volume_l``, and the three shares.
        theme: Light or dark.
        modelled: Whether the meter is modelled, not measured.
        title: Name of the vertical axis with its unit.
    """
    colour = PALETTE[theme]
    marked = quality(frame)
    time = _time("at")
    bars = (
        alt.Chart(
            _values(marked.filter(pl.col("quality") != "missing").select("at", "until", "when", "volume_l", "quality"))
        )
        .mark_rect(fillOpacity=0.45 if modelled else 1.0)
        .encode(
            x=time,
            x2="until:T",
            y=alt.Y("volume_l:Q", title=title),
            y2=alt.datum(0),
            color=alt.Color("quality:N", scale=_quality_scale(theme), title=None, legend=alt.Legend()),
            tooltip=[
                alt.Tooltip("when:N", title="from"),
                alt.Tooltip("volume_l:Q", title="volume [l]", format=","),
                alt.Tooltip("quality:N", title="quality"),
            ],
        )
    )
    gaps = marked.filter(pl.col("quality") == "missing").select("at", "until", "when")
    missing = (
        alt.Chart(_values(gaps))
        .mark_rule(strokeWidth=4, color=colour["missing"])
        .encode(x=time, x2="until:T", y=alt.datum(0), tooltip=[alt.Tooltip("when:N", title="missing from")])
    )
    layers: list[alt.Chart] = [bars, missing] if len(gaps) else [bars]
    if modelled:
        outline = marked.select(
            "at", "when", pl.when(pl.col("quality") != "missing").then("volume_l").alias("volume_l")
        )
        layers.append(line(outline, theme, column="volume_l", title=title, modelled=True, step=True))
    return alt.layer(*layers).properties(width=WIDTH, height=HEIGHT)


def line(frame: pl.DataFrame, theme: Theme, *, column: str, title: str, modelled: bool, step: bool) -> alt.Chart:
    """Draw one quantity over time; dashed where modelled, broken where a value is null.

    Args:
        frame: ``at``, ``when`` and the column.
        theme: Light or dark.
        column: Name of the quantity.
        title: Name of the vertical axis with its unit.
        modelled: Whether the meter is modelled, not measured.
        step: Whether the value holds until the next one.
    """
    colour = PALETTE[theme]["warm" if column.startswith("temperature") else "measured"]
    chart: alt.Chart = (
        alt.Chart(_values(frame.select("at", "when", column)))
        .mark_line(
            color=colour,
            interpolate="step-after" if step else "linear",
            strokeDash=_DASH if modelled else [1, 0],
            strokeWidth=1.5,
            invalid="break-paths-show-domains",
        )
        .encode(
            x=_time("at"),
            y=alt.Y(f"{column}:Q", title=title, scale=alt.Scale(zero=False)),
            tooltip=[alt.Tooltip("when:N", title="at"), alt.Tooltip(f"{column}:Q", title=title, format=",")],
        )
        .properties(width=WIDTH, height=HEIGHT)
    )
    return chart


def totals(frame: pl.DataFrame, theme: Theme, groups: Sequence[str]) -> alt.Chart:
    """Draw the volume of each period, stacked by group [m³].

    Args:
        frame: ``at``, ``until``, ``when``, ``group``, ``volume_m3``, ``measured_share``.
        theme: Light or dark.
        groups: Groups in the order of their colours.
    """
    order = {name: place for place, name in enumerate(groups)}
    rows = (
        frame.sort("at", pl.col("group").replace_strict(order, return_dtype=pl.Int64))
        .with_columns(pl.col("volume_m3").cum_sum().over("at").alias("high"))
        .with_columns((pl.col("high") - pl.col("volume_m3")).alias("low"))
    )
    chart: alt.Chart = (
        alt.Chart(_values(rows.select("at", "until", "when", "group", "volume_m3", "low", "high", "measured_share")))
        .mark_rect(stroke=PALETTE[theme]["paper"], strokeWidth=0.5)
        .encode(
            x=_time("at"),
            x2="until:T",
            y=alt.Y("high:Q", title="volume [m³]"),
            y2="low:Q",
            color=alt.Color(
                "group:N",
                title=None,
                sort=list(groups),
                scale=alt.Scale(domain=list(groups), range=_cycle(theme, len(groups))),
            ),
            tooltip=[
                alt.Tooltip("group:N"),
                alt.Tooltip("when:N", title="from"),
                alt.Tooltip("volume_m3:Q", title="volume [m³]", format=",.1f"),
                alt.Tooltip("measured_share:Q", title="measured", format=".0%"),
            ],
        )
        .properties(width=WIDTH, height=HEIGHT + 40)
    )
    return chart


def arrivals(frame: pl.DataFrame, theme: Theme) -> alt.Chart:
    """Draw rows stored per minute.

    Args:
        frame: ``at``, ``until``, ``when``, ``rows``.
        theme: Light or dark.
    """
    chart: alt.Chart = (
        alt.Chart(_values(frame.select("at", "until", "when", "rows")))
        .mark_rect(color=PALETTE[theme]["measured"])
        .encode(
            x=_time("at"),
            x2="until:T",
            y=alt.Y("rows:Q", title="rows stored per minute"),
            y2=alt.datum(0),
            tooltip=[alt.Tooltip("when:N", title="minute"), alt.Tooltip("rows:Q", format=",")],
        )
        .properties(width=WIDTH, height=160)
    )
    return chart


def evidence(frame: pl.DataFrame, theme: Theme, *, column: str, title: str, alarm: pl.DataFrame) -> Layers:
    """Draw the readings around an alarm, and the moment and span of the alarm on top.

    Args:
        frame: ``at``, ``when`` and the column.
        theme: Light or dark.
        column: Name of the quantity.
        title: Name of the vertical axis with its unit.
        alarm: One row: ``begin``, ``end``, ``at`` (local wall clock).
    """
    colour = PALETTE[theme]
    span = alt.Chart(_values(alarm)).mark_rect(color=colour["alarm"], opacity=0.14).encode(x=_time("begin"), x2="end:T")
    mark = alt.Chart(_values(alarm)).mark_rule(color=colour["alarm"], strokeWidth=2).encode(x=_time("at"))
    curve = (
        alt.Chart(_values(frame.select("at", "when", column)))
        .mark_line(
            color=colour["measured"],
            interpolate="step-after",
            strokeWidth=1.5,
            point=alt.OverlayMarkDef(size=14, color=colour["measured"]),
        )
        .encode(
            x=_time("at"),
            y=alt.Y(f"{column}:Q", title=title, scale=alt.Scale(zero=False)),
            tooltip=[alt.Tooltip("when:N", title="at"), alt.Tooltip(f"{column}:Q", title=title, format=",")],
        )
    )
    return alt.layer(span, curve, mark).properties(width=WIDTH, height=HEIGHT)


def _time(column: str) -> alt.X:
    return alt.X(f"{column}:T", scale=alt.Scale(type="utc", nice=False), axis=alt.Axis(labelExpr=_TICKS), title=None)


def _quality_scale(theme: Theme) -> alt.Scale:
    names = ["measured", "estimated"]
    return alt.Scale(domain=names, range=[PALETTE[theme][name] for name in names])


def _cycle(theme: Theme, count: int) -> list[str]:
    return [SERIES[theme][k % len(SERIES[theme])] for k in range(count)]


def _values(frame: pl.DataFrame) -> alt.InlineData:
    times = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Datetime)]
    return alt.InlineData(values=frame.with_columns(pl.col(times).dt.epoch("ms")).to_dicts())
