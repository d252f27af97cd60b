"""Consumption between any edges in time, derived from the steps between readings, with its quality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from citygate.quantity.clock import US_PER_SECOND
from citygate.validation.steps import ENERGY, NOTHING, REGISTER, VOLUME
from citygate.validation.verdict import NOT_FINAL

if TYPE_CHECKING:
    from citygate.quantity.clock import Micros
    from citygate.validation.steps import Steps

Whole = npt.NDArray[np.int64]
Quality = npt.NDArray[np.int8]
Mask = npt.NDArray[np.bool_]

MISSING, ESTIMATED, MEASURED = range(3)

#: An edge within a step no longer than this counts as read: the meter reported hourly around it [µs].
CLOSE_STEP_US = 70 * 60 * US_PER_SECOND
#: An edge this near to a reading counts as read [µs].
CLOSE_EDGE_US = 10 * 60 * US_PER_SECOND


@dataclass(frozen=True, slots=True)
class Curve:
    """The cumulated consumption of a block of meters as knots in time, sorted by meter and time.

    Attributes:
        meters: Number of meters in the block.
        local: Meter of each knot, counted from the first of the block.
        at_us: Time of each knot [µs UTC].
        volume_l: Volume between the knot before and this one [litre].
        energy_wh: Energy between the knot before and this one [Wh].
        valid: Whether that amount is known.
        first: Whether the knot is its meter's first.
    """

    meters: int
    local: Whole
    at_us: Micros
    volume_l: Whole
    energy_wh: Whole
    valid: Mask
    first: Mask


@dataclass(frozen=True, slots=True)
class Cells:
    """Consumption of every meter (row) between consecutive edges (column).

    The volumes of a meter add up to what its readings say, whatever the edges: a part known within a missing cell is
    counted, and the cell stays missing.

    Attributes:
        volume_l: [litre], shape (meters, edges - 1).
        energy_wh: Of meters that report energy [Wh], the same shape.
        quality: `MISSING`, `ESTIMATED` (the edges lie between readings, the shape between is estimated) or `MEASURED`.
        expected: Whether the meter had been read before the cell begins.
        edge_quality: Quality of the register at each edge, shape (meters, edges).
    """

    volume_l: Whole
    energy_wh: Whole
    quality: Quality
    expected: Mask
    edge_quality: Quality


@dataclass(frozen=True, slots=True)
class Gaps:
    """Long steps whose inner edges must be estimated: one entry for each.

    Attributes:
        knot: The knot that closes the step.
        local: Meter, counted from the first of the block.
        from_us, to_us: The step [µs UTC].
        volume_l: Volume of the step [litre].
    """

    knot: Whole
    local: Whole
    from_us: Micros
    to_us: Micros
    volume_l: Whole


def curve(local: Whole, at_us: Micros, steps: Steps, meters: int) -> Curve:
    """Return the cumulated consumption of a block of meters.

    Args:
        local: Meter of each reading, counted from the first of the block, sorted.
        at_us: Time of each reading, sorted within the meter [µs UTC].
        steps: Of the same readings.
        meters: Number of meters in the block.
    """
    use = (steps.kind != NOTHING) & ((steps.verdict & int(NOT_FINAL)) == 0)
    use &= steps.kind == _leading_kind(local, steps.kind, meters)[local]
    local, at, kind, amount = local[use], at_us[use], steps.kind[use], steps.amount[use]
    first = np.ones(len(local), dtype=np.bool_)
    first[1:] = local[1:] != local[:-1]
    before = np.where(first, np.iinfo(np.int64).min, np.append(at[:1], at[:-1]))
    valid = amount >= 0
    start = np.where(valid, np.maximum(steps.from_us[use], before), at)
    opened = valid & (start > before)
    place = np.arange(len(local)) + np.cumsum(opened)
    total = len(local) + int(opened.sum())
    whole, flags = np.zeros((4, total), dtype=np.int64), np.zeros((2, total), dtype=np.bool_)
    knots = Curve(meters, whole[0], whole[1], whole[2], whole[3], flags[0], flags[1])
    knots.local[place], knots.at_us[place] = local, at
    knots.local[place[opened] - 1], knots.at_us[place[opened] - 1] = local[opened], start[opened]
    counted = np.where(valid, amount, 0)
    knots.volume_l[place] = np.where(kind == ENERGY, 0, counted)
    knots.energy_wh[place] = np.where(kind == ENERGY, counted, 0)
    knots.valid[place] = valid
    if total:
        knots.first[0] = True
        knots.first[1:] = knots.local[1:] != knots.local[:-1]
    return knots


def _leading_kind(local: Whole, kind: npt.NDArray[np.int8], meters: int) -> npt.NDArray[np.int8]:
    """Return what each meter's consumption is taken from: its register before its volumes before its energies."""
    leading = np.full(meters, NOTHING, dtype=np.int8)
    for each in (ENERGY, VOLUME, REGISTER):
        leading[local[kind == each]] = each
    return leading


def long_steps(knots: Curve) -> Gaps:
    """Return the steps within which consumption must be estimated."""
    width = np.diff(knots.at_us, prepend=0)
    at = np.flatnonzero(knots.valid & ~knots.first & (width > CLOSE_STEP_US))
    return Gaps(at, knots.local[at], knots.at_us[at] - width[at], knots.at_us[at], knots.volume_l[at])


def settle(knots: Curve, edges_us: Micros, passed_l: dict[int, Whole] | None = None) -> Cells:
    """Return the consumption between edges.

    Args:
        knots: Cumulated consumption.
        edges_us: Edges of the cells, ascending [µs UTC].
        passed_l: For knots that close a long step: how much of it has passed at each edge, shape (edges,) [litre]. A
            step that is not named is taken as even.
    """
    shape = (knots.meters, len(edges_us))
    at, has = _positions(knots, edges_us)
    closing = np.minimum(at, max(len(knots.at_us) - 1, 0))
    edges = np.broadcast_to(edges_us, shape).ravel()
    if not len(knots.at_us):
        nothing = np.zeros((knots.meters, len(edges_us) - 1), dtype=np.int64)
        return Cells(
            nothing, nothing, nothing.astype(np.int8), nothing.astype(np.bool_), np.zeros(shape, dtype=np.int8)
        )
    to_us = knots.at_us[closing]
    from_us = knots.at_us[np.maximum(closing - 1, 0)]
    exact = has & (to_us == edges)
    inside = has & ~exact & knots.valid[closing] & ~knots.first[closing]
    share = np.where(exact, 1.0, 0.0)
    width = np.where(inside, to_us - from_us, 1)
    share[inside] = ((edges - from_us) / width)[inside]
    close = (width <= CLOSE_STEP_US) | (np.minimum(edges - from_us, to_us - edges) <= CLOSE_EDGE_US)
    quality = (
        np.where(exact | (inside & close), MEASURED, np.where(inside, ESTIMATED, MISSING))
        .astype(np.int8)
        .reshape(shape)
    )
    volume_l, energy_wh = (_read(amount, at, closing, share, shape) for amount in (knots.volume_l, knots.energy_wh))
    before = np.append(0, np.cumsum(knots.volume_l))
    for knot, passed in (passed_l or {}).items():
        row = int(knots.local[knot])
        span = slice(row * shape[1], (row + 1) * shape[1])
        here = inside[span] & (closing[span] == knot)
        volume_l[row, here] = before[knot] + passed[here]
    broken = _broken(knots, at, exact, shape)
    lower = np.minimum(quality[:, 1:], quality[:, :-1])
    lower[broken] = MISSING
    begun = np.full(knots.meters, np.iinfo(np.int64).max)
    begun[knots.local[knots.first]] = knots.at_us[knots.first]
    return Cells(
        volume_l=np.diff(volume_l, axis=1),
        energy_wh=np.diff(energy_wh, axis=1),
        quality=lower,
        expected=begun[:, None] <= edges_us[None, :-1],
        edge_quality=quality,
    )


def _positions(knots: Curve, edges_us: Micros) -> tuple[Whole, Mask]:
    """Return for every meter and edge the first knot at or after it, and whether it is the same meter's."""
    low = min(int(edges_us[0]), int(knots.at_us.min()) if len(knots.at_us) else 0)
    high = max(int(edges_us[-1]), int(knots.at_us.max()) if len(knots.at_us) else 0)
    width = high - low + 1
    keys = knots.local * width + (knots.at_us - low)
    rows = np.arange(knots.meters, dtype=np.int64)
    wanted = (rows[:, None] * width + (edges_us - low)[None, :]).ravel()
    at = np.searchsorted(keys, wanted, side="left").astype(np.int64)
    owner = np.append(knots.local, -1)[at]
    return at, owner == np.repeat(rows, len(edges_us))


def _read(amount: Whole, at: Whole, closing: Whole, share: npt.NDArray[np.float64], shape: tuple[int, int]) -> Whole:
    """Return the cumulated amount at every edge, rounded down within a step so that parts add up to the whole."""
    if not amount.any():
        return np.zeros(shape, dtype=np.int64)
    passed = np.append(0, np.cumsum(amount))[at]
    return (passed + np.floor(amount[closing] * share).astype(np.int64)).reshape(shape)


def _broken(knots: Curve, at: Whole, exact: Mask, shape: tuple[int, int]) -> Mask:
    """Return which cells touch a step whose amount is not known."""
    unknown = np.append(0, np.cumsum(~knots.valid & ~knots.first))
    after = np.minimum(at + exact, len(knots.at_us)).reshape(shape)
    until = np.minimum(at + 1, len(knots.at_us)).reshape(shape)
    return np.asarray(unknown[until[:, 1:]] > unknown[after[:, :-1]])
