"""Steps between readings of one meter: the rules that look only at the nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from citygate.quantity.clock import US_PER_HOUR, US_PER_SECOND
from citygate.quantity.status import TAMPER
from citygate.validation.rules import RuleSet, standard_rules
from citygate.validation.verdict import Verdict

if TYPE_CHECKING:
    import polars as pl

    from citygate.fleet.registry import Registry

Whole = npt.NDArray[np.int64]
Bits = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]

#: Kinds of row, as `Steps.kind` tells them.
NOTHING, REGISTER, VOLUME, ENERGY = range(4)
#: No amount, or no row.
NONE = -1
#: The verdict and the step of a row depend on so many rows of its kind and meter before it, and after it.
CONTEXT_BEFORE, CONTEXT_AFTER = 3, 2


@dataclass(frozen=True, slots=True)
class MeterFacts:
    """What the rules need to know of the meters: arrays indexed by the code of the meter.

    Args:
        register_max_l: The register rolls over to zero when it reaches this volume [litre].
        pulse_l: Resolution of the register [litre].
        qmax_lph: Largest flow [litre/h]; 0 where it is not known, and then no step is above the limit.
    """

    register_max_l: Whole
    pulse_l: Whole
    qmax_lph: Whole

    @classmethod
    def of(cls, registry: Registry) -> MeterFacts:
        """Return the facts of the newest row of every meter."""
        latest = registry.latest()
        codes = latest["code"].to_numpy()
        columns = {}
        for name, default in (("register_max_l", 100_000_000), ("pulse_l", 1), ("qmax_lph", 0)):
            columns[name] = np.full(registry.count(), default, dtype=np.int64)
            columns[name][codes] = latest[name].to_numpy()
        return cls(**columns)


@dataclass(frozen=True, slots=True)
class Steps:
    """What each row adds to the one before it; all arrays have one entry for each row.

    Args:
        kind: `NOTHING` (no register, volume or energy), `REGISTER`, `VOLUME` or `ENERGY`.
        previous: Row from which the step starts: the reading of the same meter and kind before it that is no outlier;
            `NONE` where there is none, or the row itself is an outlier.
        from_us: Beginning of the step [µs UTC]; the time of the row itself where there is no step.
        amount: What went through between ``from_us`` and the row [litre; Wh for the kind `ENERGY`], whole, not below
            0, true across a rollover; `NONE` where there is no step or the step is invalid.
        verdict: Bits of `Verdict`: REGISTER_BACK, ABOVE_LIMIT, EXCHANGE, OVERLAP (the step is invalid), OUTLIER (the
            row bounds nothing), ROLLOVER, PULSE_QUANTUM and TAMPER (the step counts).
    """

    kind: npt.NDArray[np.int8]
    previous: Whole
    from_us: Whole
    amount: Whole
    verdict: Bits


def steps(rows: pl.DataFrame, facts: MeterFacts, rules: RuleSet | None = None) -> Steps:
    """Return the step into every row, and what the rules on neighbours say of it.

    A pure function of the rows: the result for a row depends on `CONTEXT_BEFORE` rows of its meter and kind before it
    and `CONTEXT_AFTER` after it, so any part of a series can be judged with that much context.

    A row with a register is a register, whatever else it says. Otherwise a volume, otherwise an energy, with its span:
    then the amount is the row's own and the step begins ``span_s`` before the row. Rows with none of the three are
    left out.

    Args:
        rows: Readings with the columns of `ValidatedBatch`, sorted by ``meter`` and ``at_us``, one row for each meter
            and instant (its latest revision).
        facts: Of the meters, by code.
        rules: Limits; the standard ones when None.
    """
    limits = standard_rules() if rules is None else rules
    meter, at_us = rows["meter"].to_numpy(), rows["at_us"].to_numpy()
    kind = _kinds(rows)
    found = Steps(
        kind=kind,
        previous=np.full(len(rows), NONE, dtype=np.int64),
        from_us=at_us.copy(),
        amount=np.full(len(rows), NONE, dtype=np.int64),
        verdict=np.zeros(len(rows), dtype=np.int32),
    )
    for each, column in ((REGISTER, "index_l"), (VOLUME, "volume_l"), (ENERGY, "energy_wh")):
        at = np.flatnonzero(kind == each)
        if len(at) == 0:
            continue
        chosen = rows if len(at) == len(rows) else rows[at]
        values = chosen[column].to_numpy()
        if each == REGISTER:
            part = _register_steps(_Series(meter[at], at_us[at], values), facts, limits)
        else:
            limit = limits.limit_ratio * (1.0 if each == VOLUME else limits.energy_wh_per_l_max)
            span_us = chosen["span_s"].fill_null(0).to_numpy() * US_PER_SECOND
            part = _amount_steps(_Series(meter[at], at_us[at], values), span_us, facts, limit, limits)
            if each == VOLUME:
                off = values % facts.pulse_l[meter[at]] != 0
                part.verdict[off] |= int(Verdict.PULSE_QUANTUM)
        found.previous[at] = np.where(part.previous == NONE, NONE, at[part.previous])
        found.from_us[at], found.amount[at], found.verdict[at] = part.from_us, part.amount, part.verdict
    status = rows["status"].fill_null(0).to_numpy()
    found.verdict[(status & int(TAMPER)) != 0] |= int(Verdict.TAMPER)
    return found


def judge(rows: pl.DataFrame, facts: MeterFacts, rules: RuleSet | None = None) -> Bits:
    """Return the bits of `Verdict` for every row: the verdicts of `steps` alone."""
    return steps(rows, facts, rules).verdict


@dataclass(frozen=True, slots=True)
class _Series:
    """Rows of one kind: meter codes, times, values."""

    meter: npt.NDArray[np.int32]
    at_us: Whole
    values: Whole


@dataclass(frozen=True, slots=True)
class _Part:
    previous: Whole
    from_us: Whole
    amount: Whole
    verdict: Bits


@dataclass(frozen=True, slots=True)
class _Leap:
    """Every row seen from the row that lies ``lag`` rows before it: at most one of the masks is true."""

    amount: Whole
    good: Mask
    rollover: Mask
    back: Mask
    high: Mask


def _kinds(rows: pl.DataFrame) -> npt.NDArray[np.int8]:
    kind = np.full(len(rows), NOTHING, dtype=np.int8)
    for each, column in ((ENERGY, "energy_wh"), (VOLUME, "volume_l"), (REGISTER, "index_l")):
        if rows[column].null_count() < len(rows):
            kind[rows[column].is_not_null().to_numpy()] = each
    return kind


def _leap(series: _Series, lag: int, facts: MeterFacts, rules: RuleSet) -> _Leap:
    count = len(series.values)
    amount = np.zeros(count, dtype=np.int64)
    masks = [np.zeros(count, dtype=np.bool_) for _ in range(4)]
    if count > lag:
        code = series.meter[lag:]
        known = code == series.meter[:-lag]
        old, size, qmax = series.values[:-lag], facts.register_max_l[code], facts.qmax_lph[code]
        delta = series.values[lag:] - old
        hours = (series.at_us[lag:] - series.at_us[:-lag]) / US_PER_HOUR
        # Two readings of a register of p litres may show up to p - 1 litres more than went through.
        limit = np.where(qmax > 0, rules.limit_ratio * qmax * hours + facts.pulse_l[code] - 1, np.inf)
        negative = delta < 0
        rollover = negative & (old > rules.rollover_from_share * size) & (delta + size <= limit) & known
        back = negative & ~rollover & known
        high = (delta > limit) & known
        amount[lag:] = np.where(rollover, delta + size, delta)
        for mask, part in zip(masks, (known & ~back & ~high, rollover, back, high), strict=True):
            mask[lag:] = part
    return _Leap(amount, *masks)


def _ahead(mask: Mask, lag: int = 1) -> Mask:
    """Return what a mask says of the row ``lag`` rows later."""
    moved = np.zeros_like(mask)
    moved[: max(0, len(mask) - lag)] = mask[lag:]
    return moved


def _behind(mask: Mask) -> Mask:
    """Return what a mask says of the row before."""
    moved = np.zeros_like(mask)
    moved[1:] = mask[:-1]
    return moved


def _outliers(one: _Leap, two: _Leap) -> Mask:
    """Return the single points without which their neighbours agree.

    Of two neighbours that may each be the wrong one, the point that fell is taken, so that two meters which send under
    one name keep the one of them. Never two rows in a row: then the level moved, and no single point is wrong.
    """
    bad = one.back | one.high
    across = _ahead(two.good)
    bad_out, back_out = _ahead(bad), _ahead(one.back)
    wrong = across & ((bad & bad_out) | one.back | back_out | (one.rollover & bad_out))
    fell = wrong & (one.back | one.rollover)
    rose = wrong & ~fell & ~_behind(fell) & ~_ahead(fell)
    # A point that rose is followed by a fall, so it never has a neighbour that rose.
    return rose | (fell & ~_behind(fell))


def _register_steps(series: _Series, facts: MeterFacts, rules: RuleSet) -> _Part:
    one = _leap(series, 1, facts, rules)
    odd = one.back | one.high | one.rollover
    if not odd.any():
        return _plain_steps(series, one, facts)
    # Few meters ever have an odd step: only they need to be seen from two rows back.
    careful = np.zeros(len(facts.pulse_l), dtype=np.bool_)
    careful[series.meter[odd]] = True
    mine = careful[series.meter]
    whole = np.zeros((3, len(mine)), dtype=np.int64)
    found = _Part(whole[0], whole[1], whole[2], np.zeros(len(mine), dtype=np.int32))
    for chosen, judge_rows in ((~mine, _plain_rows), (mine, _careful_rows)):
        at = np.flatnonzero(chosen)
        if len(at):
            part = judge_rows(_Series(series.meter[at], series.at_us[at], series.values[at]), facts, rules)
            found.previous[at] = np.where(part.previous == NONE, NONE, at[part.previous])
            found.from_us[at], found.amount[at], found.verdict[at] = part.from_us, part.amount, part.verdict
    return found


def _plain_rows(series: _Series, facts: MeterFacts, rules: RuleSet) -> _Part:
    return _plain_steps(series, _leap(series, 1, facts, rules), facts)


def _plain_steps(series: _Series, one: _Leap, facts: MeterFacts) -> _Part:
    """Return the steps of registers that only ever rise as fast as their meters can."""
    previous = np.where(one.good, np.arange(len(series.values), dtype=np.int64) - 1, NONE)
    amount = np.where(one.good, one.amount, NONE)
    off = one.good & (amount % facts.pulse_l[series.meter] != 0)
    verdict = np.where(off, int(Verdict.PULSE_QUANTUM), 0).astype(np.int32)
    return _Part(previous, np.where(one.good, series.at_us[previous], series.at_us), amount, verdict)


def _careful_rows(series: _Series, facts: MeterFacts, rules: RuleSet) -> _Part:
    one, two = (_leap(series, lag, facts, rules) for lag in (1, 2))
    outlier = _outliers(one, two)
    skip = _behind(outlier)

    row = np.arange(len(series.values), dtype=np.int64)
    lag = np.where(skip, 2, 1)
    linked = _linked(series.meter, lag) & ~outlier
    previous = np.where(linked, row - lag, NONE)
    good, back, high, rollover = (
        np.where(skip, far, near) & linked
        for near, far in (
            (one.good, two.good),
            (one.back, two.back),
            (one.high, two.high),
            (one.rollover, two.rollover),
        )
    )
    amount = np.where(good, np.where(skip, two.amount, one.amount), NONE)
    goes_on = _ahead(one.good) | _ahead(two.good, 2)
    exchange = back & goes_on & _fell_too_far(series, previous, facts, rules)
    verdict = np.zeros(len(row), dtype=np.int32)
    for mask, code in (
        (outlier, Verdict.OUTLIER),
        (back & ~exchange, Verdict.REGISTER_BACK),
        (exchange, Verdict.EXCHANGE),
        (high, Verdict.ABOVE_LIMIT),
        (rollover, Verdict.ROLLOVER),
        (good & (amount % facts.pulse_l[series.meter] != 0), Verdict.PULSE_QUANTUM),
    ):
        verdict[mask] |= int(code)
    return _Part(previous, np.where(linked, series.at_us[previous], series.at_us), amount, verdict)


def _fell_too_far(series: _Series, previous: Whole, facts: MeterFacts, rules: RuleSet) -> Mask:
    """Return where a register fell too far for gas that flows backwards: another register hangs there."""
    old, qmax = series.values[previous], facts.qmax_lph[series.meter]
    hours = (series.at_us - series.at_us[previous]) / US_PER_HOUR
    impossible = (qmax > 0) & (old - series.values > rules.limit_ratio * qmax * hours)
    too_far: Mask = impossible | (series.values < rules.exchange_to_share * old)
    return too_far


def _linked(meter: npt.NDArray[np.int32], lag: Whole) -> Mask:
    row = np.arange(len(meter))
    same: Mask = meter[np.maximum(row - lag, 0)] == meter
    return (row >= lag) & same


def _amount_steps(series: _Series, span_us: Whole, facts: MeterFacts, limit_per_lph: float, rules: RuleSet) -> _Part:
    row = np.arange(len(series.values), dtype=np.int64)
    linked = _linked(series.meter, np.ones_like(row))
    previous = np.where(linked, row - 1, NONE)
    from_us = series.at_us - span_us
    overlap = linked & (series.at_us[previous] - from_us > rules.overlap_share * span_us)
    qmax = facts.qmax_lph[series.meter]
    high = (qmax > 0) & (
        series.values > limit_per_lph * qmax * (span_us / US_PER_HOUR) + facts.pulse_l[series.meter] - 1
    )
    verdict = np.zeros(len(row), dtype=np.int32)
    verdict[overlap] |= int(Verdict.OVERLAP)
    verdict[high] |= int(Verdict.ABOVE_LIMIT)
    return _Part(previous, from_us, np.where(overlap | high, NONE, series.values), verdict)
