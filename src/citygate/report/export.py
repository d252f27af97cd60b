"""Charts as bytes without a browser (SVG, PNG, PDF), and the bundle that draws them inside one."""

from __future__ import annotations

import json
from enum import StrEnum
from functools import lru_cache
from typing import Any

import vl_convert

from citygate.errors import CitygateError

_PNG_SCALE = 2.0
#: The chart library leaves `vegaEmbed` on the window; the pages ask it for the interpreter, which needs no eval.
_SNIPPET = "window.vegaEmbed = vegaEmbed;"


class ChartForm(StrEnum):
    """How a chart is written."""

    JSON = "json"
    SVG = "svg"
    PNG = "png"
    PDF = "pdf"


MEDIA = {
    ChartForm.JSON: "application/json",
    ChartForm.SVG: "image/svg+xml",
    ChartForm.PNG: "image/png",
    ChartForm.PDF: "application/pdf",
}


class ChartFailedError(CitygateError):
    """The chart engine refused a chart."""

    code = "chart_failed"

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"the chart could not be drawn: {why}")


def draw(spec: dict[str, Any], form: ChartForm) -> bytes:
    """Return a Vega-Lite specification drawn in a form; the same chart gives the same bytes.

    Raises:
        ChartFailedError: The chart engine refused it.
    """
    return _draw(json.dumps(spec, sort_keys=True, separators=(",", ":")), form)


@lru_cache(maxsize=1)
def browser_bundle() -> bytes:
    """Return the JavaScript that draws charts in a browser (Vega, Vega-Lite, Vega-Embed); it needs no other file."""
    return str(vl_convert.javascript_bundle(_SNIPPET)).encode()


@lru_cache(maxsize=256)
def _draw(text: str, form: ChartForm) -> bytes:
    if form is ChartForm.JSON:
        return text.encode()
    try:
        match form:
            case ChartForm.SVG:
                return str(vl_convert.vegalite_to_svg(text)).encode()
            case ChartForm.PNG:
                return bytes(vl_convert.vegalite_to_png(text, scale=_PNG_SCALE))
            case ChartForm.PDF:
                return bytes(vl_convert.vegalite_to_pdf(text))
    except ValueError as cause:
        raise ChartFailedError(str(cause).splitlines()[0]) from cause
