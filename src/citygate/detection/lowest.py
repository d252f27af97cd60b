"""The flow that never stopped: found by the time between pulses, not by their number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from citygate.detection.slots import Columns, Field, Flag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citygate.detection.slots import Column, Now

HOUR_US = 3_600_000_000
#: Above any flow of a meter [litre/h]: no reading in the window yet.
NO_FLOW_YET_LPH = 1e9
#: A meter whose own past is below one pulse in this time is quiet because its gas stops, not because a pilot burns.
_STOPPED_US = 4 * HOUR_US

GAP_FIELDS: Mapping[str, Field] = {"gap_us": Field(np.int64, 0)}
WINDOW_FIELDS: Mapping[str, Field] = {
    **GAP_FIELDS,
    "day": Field(np.int64, 0),
    "lowest_lph": Field(np.float32, NO_FLOW_YET_LPH),
    "covered_us": Field(np.int64, 0),
    "begin_us": Field(np.int64, 0),
}


def flow_lph(state: Columns, now: Now, usable: Flag) -> tuple[Column, Column]:
    """Return the flow that a span shows [litre/h], and the time without a pulse so far [µs].

    A span with pulses shows its mean flow. After a time g of spans without a pulse, and a span s that holds the next
    one, a steady flow is pulse_l / (g + s): both ends of the time between two pulses lie somewhere within their spans,
    half a span each on the average. With 10-litre pulses, read hourly, a leak of 2.5 l/h shows 0 0 0 10: 10 l / 4 h.

    Args:
        state: Holds ``gap_us``.
        now: The slot.
        usable: Spans that count; the others start the time without a pulse again.
    """
    still = usable & (now.value == 0)
    gap_us = np.where(still, state["gap_us"] + now.span_us, 0)
    volume_l = np.where(still, now.pulse_l, now.value)
    time_us = np.where(still, gap_us + now.span_us, np.maximum(now.span_us, 1))
    return volume_l * float(HOUR_US) / time_us, gap_us


def window(state: Columns, now: Now, counts: Flag, broken: Flag) -> tuple[Columns, Flag]:
    """Keep the lowest flow of a gas day; return the columns and where a day has just closed.

    Args:
        state: Holds ``WINDOW_FIELDS``.
        now: The slot.
        counts: Spans that belong to the window and can be trusted.
        broken: Spans that end a time without pulses without telling anything.
    """
    flow, gap_us = flow_lph(state, now, counts)
    gap_us = np.where(counts, gap_us, np.where(broken, 0, state["gap_us"]))
    flow = np.where(counts, flow, NO_FLOW_YET_LPH)
    covered_us = np.where(counts, now.span_us, 0)
    closes = now.day != state["day"]
    return {
        "gap_us": gap_us,
        "day": now.day,
        "lowest_lph": np.where(closes, flow, np.minimum(state["lowest_lph"], flow)),
        "covered_us": np.where(closes, covered_us, state["covered_us"] + covered_us),
        "begin_us": np.where(closes, now.at_us - now.span_us, state["begin_us"]),
    }, closes


def smallest_leak_lph(own_past_lph: Column, visible_lph: Column, pulse_l: Column) -> Column:
    """Return the smallest leak that would have shown [litre/h].

    A leak adds to a flow that never stops, such as a pilot flame. Where the gas does stop, the own past is only what
    the pulses can resolve, and a leak must first exceed it.
    """
    stopped = own_past_lph * float(_STOPPED_US) <= pulse_l * float(HOUR_US)
    return visible_lph + np.where(stopped, own_past_lph, 0.0)
