"""One look for every chart, in light and in dark; the style sheet of the pages uses the same values."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"


class Theme(StrEnum):
    """What the chart lies on."""

    LIGHT = "light"
    DARK = "dark"


#: Colours by use. Hues follow the colour-blind safe set of Okabe and Ito (jfly.uni-koeln.de/color), darkened or
#: lightened until text and marks reach the contrast that WCAG 2.2 asks for (4.5 and 3).
PALETTE: dict[Theme, dict[str, str]] = {
    Theme.LIGHT: {
        "paper": "#ffffff",
        "ink": "#18212f",
        "soft": "#55606f",
        "line": "#d9dee5",
        "measured": "#14598f",
        "estimated": "#8dbbdd",
        "missing": "#b9c0ca",
        "alarm": "#b83c00",
        "limit": "#7a2f76",
        "warm": "#96590a",
    },
    Theme.DARK: {
        "paper": "#161c26",
        "ink": "#e8ecf2",
        "soft": "#a3aebd",
        "line": "#313b4a",
        "measured": "#6db3e8",
        "estimated": "#35648c",
        "missing": "#4c5768",
        "alarm": "#ff8f57",
        "limit": "#d79ad2",
        "warm": "#e8b25c",
    },
}

#: Groups side by side (zones, providers), in this order; no pair is red against green.
SERIES: dict[Theme, list[str]] = {
    Theme.LIGHT: ["#14598f", "#c47a00", "#7a2f76", "#3d8fb8", "#8a4b20", "#5b6472", "#b5468f", "#2b3f86"],
    Theme.DARK: ["#6db3e8", "#f0b03f", "#d79ad2", "#9adcf5", "#d99a6c", "#aab4c2", "#f29ccb", "#96a7f2"],
}


def dressed(chart: alt.TopLevelMixin, theme: Theme) -> dict[str, Any]:
    """Return the Vega-Lite specification of a chart with the colours and type of a theme."""
    colour = PALETTE[theme]
    axis = {
        "labelColor": colour["soft"],
        "titleColor": colour["soft"],
        "domainColor": colour["line"],
        "tickColor": colour["line"],
    }
    look = {
        "background": colour["paper"],
        "font": FONT,
        "view": {"stroke": None},
        "axis": {
            **axis,
            "gridColor": colour["line"],
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "labelOverlap": True,
        },
        "axisX": {"grid": False, "tickCount": 8},
        "axisY": {
            "domain": False,
            "ticks": False,
            "tickCount": 5,
            "titleAlign": "left",
            "titleAngle": 0,
            "titleAnchor": "end",
            "titleY": -10,
        },
        "legend": {
            "labelColor": colour["ink"],
            "titleColor": colour["soft"],
            "orient": "bottom",
            "direction": "horizontal",
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "columns": 4,
            "symbolType": "square",
        },
        "text": {"color": colour["ink"], "fontSize": 12},
    }
    spec: dict[str, Any] = chart.to_dict()
    spec["config"] = look
    spec["padding"] = {"left": 4, "right": 12, "top": 8, "bottom": 4}
    return spec
