"""Rules on the history of a meter: runs of zeros, stuck amounts, spikes, flow that never stops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from citygate.quantity.clock import US_PER_HOUR
from citygate.validation.finding import Code, findings_of
from citygate.validation.steps import ENERGY, NOTHING, Steps, steps
from citygate.validation.verdict import Verdict

if TYPE_CHECKING:
    from citygate.validation.rules import RuleSet
    from citygate.validation.steps import MeterFacts

Whole = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

US_PER_DAY = 24 * US_PER_HOUR
#: Two steps follow one another when the gap between them is below this share of the later one.
_JITTER = 0.01
_LOCAL = {
    Verdict.REGISTER_BACK: (Code.REGISTER_BACK, "the register went back"),
    Verdict.ABOVE_LIMIT: (Code.ABOVE_LIMIT, "more than the meter can carry"),
    Verdict.OUTLIER: (Code.OUTLIER, "a single reading without which its neighbours agree"),
    Verdict.ROLLOVER: (Code.ROLLOVER, "the register rolled over"),
    Verdict.PULSE_QUANTUM: (Code.PULSE_QUANTUM, "not a multiple of the pulse of the meter"),
    Verdict.EXCHANGE: (Code.EXCHANGE, "another register goes on from here"),
    Verdict.TAMPER: (Code.TAMPER, "the meter reports tampering, reverse flow or tilt"),
    Verdict.OVERLAP: (Code.OVERLAP, "the span overlaps the one before it"),
}


@dataclass(frozen=True, slots=True)
class Flow:
    """Valid steps of a block of meters, sorted by meter and time.

    Args:
        meter: Code of the meter.
        from_us, to_us: Beginning and end [µs UTC].
        amount: What went through [litre; Wh where ``energy``].
        energy: Whether the amount is an energy.
    """

    meter: npt.NDArray[np.int32]
    from_us: Whole
    to_us: Whole
    amount: Whole
    energy: Mask

    @classmethod
    def of(cls, rows: pl.DataFrame, found: Steps) -> Flow:
        """Return the valid steps with a length, of those found in rows."""
        at_us = rows["at_us"].to_numpy()
        valid = (found.kind != NOTHING) & (found.amount >= 0) & (found.from_us < at_us)
        meter = rows["meter"].to_numpy()[valid]
        return cls(meter, found.from_us[valid], at_us[valid], found.amount[valid], found.kind[valid] == ENERGY)

    def hours(self) -> Floats:
        """Return the length of each step [h]."""
        length: Floats = (self.to_us - self.from_us) / US_PER_HOUR
        return length

    def follows(self) -> Mask:
        """Return whether a step goes on where the one before it, of the same meter, ended."""
        result = np.zeros(len(self.meter), dtype=np.bool_)
        gap_us = np.abs(self.from_us[1:] - self.to_us[:-1])
        near = gap_us <= _JITTER * (self.to_us[1:] - self.from_us[1:])
        result[1:] = (self.meter[1:] == self.meter[:-1]) & near & (self.energy[1:] == self.energy[:-1])
        return result


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of steps: the first and the last step of each."""

    first: Whole
    last: Whole

    @classmethod
    def of(cls, member: Mask, goes_on: Mask) -> Runs:
        """Return the runs of members; a member begins a new run unless it goes on from a member before it."""
        before = np.zeros_like(member)
        before[1:] = member[:-1]
        linked = member & before & goes_on
        opens = np.flatnonzero(member & ~linked)
        after = np.ones_like(member)
        after[:-1] = ~linked[1:]
        return cls(opens, np.flatnonzero(member & after))

    def keep(self, chosen: Mask) -> Runs:
        """Return the chosen runs."""
        return Runs(self.first[chosen], self.last[chosen])


def examine(rows: pl.DataFrame, facts: MeterFacts, rules: RuleSet) -> tuple[pl.DataFrame, Flow]:
    """Return what the rules on single meters find in whole series, and the valid steps for the rules on many meters.

    Args:
        rows: As `citygate.validation.steps.steps` takes them: the whole history of the meters in it.
        facts: Of the meters, by code.
        rules: Limits.

    Returns:
        Findings (columns of `citygate.validation.finding`), sorted by meter, time and code.
    """
    found = steps(rows, facts, rules)
    flow = Flow.of(rows, found)
    parts = [
        _local(rows, found),
        *_zero_runs(flow, rules),
        _stuck(flow, rules),
        _far_above_median(flow, rules),
        _spikes(flow, facts, rules),
        _low_flow(flow, rules),
    ]
    return pl.concat(parts).sort("meter", "from_us", "code"), flow


def _local(rows: pl.DataFrame, found: Steps) -> pl.DataFrame:
    """Return the verdicts of steps as findings: one for each run of neighbours with the same verdict."""
    meter, at_us = rows["meter"].to_numpy(), rows["at_us"].to_numpy()
    same = np.zeros(len(meter), dtype=np.bool_)
    same[1:] = meter[1:] == meter[:-1]
    parts = []
    for verdict, (code, words) in _LOCAL.items():
        runs = Runs.of((found.verdict & int(verdict)) != 0, same)
        count = runs.last - runs.first + 1
        columns = {
            "meter": meter[runs.first],
            "from_us": found.from_us[runs.first],
            "to_us": at_us[runs.last],
            "count": count,
            "size": count.astype(np.float64),
        }
        parts.append(findings_of(code, columns, "readings", pl.lit(words)))
    return pl.concat(parts)


def _columns(flow: Flow, runs: Runs, size: Floats) -> dict[str, npt.NDArray[np.generic] | pl.Series]:
    return {
        "meter": flow.meter[runs.first],
        "from_us": flow.from_us[runs.first],
        "to_us": flow.to_us[runs.last],
        "count": runs.last - runs.first + 1,
        "size": size,
    }


def _zero_runs(flow: Flow, rules: RuleSet) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return runs of zeros, and those among them that are longer than the meter's own runs of the season let expect."""
    runs = Runs.of(flow.amount == 0, flow.follows())
    hours = (flow.to_us[runs.last] - flow.from_us[runs.first]) / US_PER_HOUR
    middle = pl.Series((flow.to_us[runs.last] + flow.from_us[runs.first]) // 2, dtype=pl.Int64).cast(pl.Datetime("us"))
    history = pl.DataFrame({"meter": flow.meter[runs.first], "month": middle.dt.month(), "hours": hours})
    season = history.with_columns(
        usual=pl.col("hours").median().over("meter", "month"),
        runs=pl.len().over("meter", "month"),
        all_year=pl.col("hours").median().over("meter"),
    )
    heating = pl.col("month").is_in(list(rules.heating_months))
    # Three runs give a season a median that one long run cannot move.
    usual = pl.when((pl.col("runs") < 3) & heating).then(pl.col("all_year")).otherwise(pl.col("usual"))  # noqa: PLR2004
    chance = season.select((-np.log(2.0) * pl.col("hours") / usual).exp()).to_series().to_numpy()
    long = hours >= rules.zero_run_hours
    unexpected = long & (chance < rules.zero_run_chance_share)
    columns = _columns(flow, runs.keep(long), hours[long])
    told = findings_of(Code.ZERO_RUN, columns, "h", pl.format("no use for {} h", pl.col("size").round(1)))
    columns = _columns(flow, runs.keep(unexpected), hours[unexpected])
    columns["usual"] = season.select(usual.alias("usual")).to_series().filter(pl.Series(unexpected))
    words = pl.format(
        "no use for {} h, where half the runs are under {} h", pl.col("size").round(1), pl.col("usual").round(1)
    )
    return told, findings_of(Code.ZERO_RUN_UNEXPECTED, columns, "h", words)


def _stuck(flow: Flow, rules: RuleSet) -> pl.DataFrame:
    """Return runs of the same amount, not zero: repeated for `RuleSet.stuck_hours` after it was first seen."""
    same = flow.follows()
    length_us = flow.to_us - flow.from_us
    alike = np.abs(length_us[1:] - length_us[:-1]) <= _JITTER * length_us[1:]
    same[1:] &= (flow.amount[1:] == flow.amount[:-1]) & alike
    runs = Runs.of(flow.amount > 0, same)
    hours = (flow.to_us[runs.last] - flow.to_us[runs.first]) / US_PER_HOUR
    long = (hours >= rules.stuck_hours - 1e-9) & (runs.last - runs.first >= rules.stuck_repeat_count)
    runs = runs.keep(long)
    columns = _columns(flow, runs, hours[long])
    columns["amount"] = flow.amount[runs.first]
    columns["what"] = _unit(flow, runs)
    return findings_of(
        Code.STUCK, columns, "h", pl.format("the same {} {} again for {} h", "amount", "what", pl.col("size").round(1))
    )


def _unit(flow: Flow, runs: Runs) -> pl.Series:
    return pl.Series(np.where(flow.energy[runs.first], "Wh", "l"), dtype=pl.String)


def _rates(flow: Flow) -> pl.DataFrame:
    return pl.DataFrame({"meter": flow.meter, "rate": flow.amount / np.maximum(flow.hours(), 1e-9)})


def _far_above_median(flow: Flow, rules: RuleSet) -> pl.DataFrame:
    """Return runs of rates above `RuleSet.median_ratio` times the meter's median of the rates that are not zero."""
    rates = _rates(flow).with_columns(median=pl.col("rate").filter(pl.col("rate") > 0).median().over("meter"))
    ratio = rates.select((pl.col("rate") / pl.col("median")).fill_null(0.0)).to_series().to_numpy()
    member = ratio > rules.median_ratio
    runs = Runs.of(member, flow.follows())
    columns = _columns(flow, runs, _top(np.where(member, ratio, 0.0), runs))
    words = pl.format("{} times the median of the hours with use", pl.col("size").round(1))
    return findings_of(Code.FAR_ABOVE_MEDIAN, columns, "ratio", words)


def _spikes(flow: Flow, facts: MeterFacts, rules: RuleSet) -> pl.DataFrame:
    """Return steps that stand out of the season: Hampel's rule on the daily peak of the rate.

    Gas is burnt on and off, so single hours have no scale of their own: the median deviation of an hour is mostly 0,
    and a tenth of all hours of a home would stand out. The peak of a day follows the season and the boiler.
    """
    rates = _rates(flow).with_columns(day=flow.to_us // US_PER_DAY)
    peak = rates.group_by("meter", "day", maintain_order=True).agg(peak=pl.col("rate").max()).filter(pl.col("peak") > 0)
    peak = peak.with_columns(log=pl.col("peak").log())
    peak = peak.with_columns(usual=_season(pl.col("log"), rules))
    peak = peak.with_columns(spread=_season((pl.col("log") - pl.col("usual")).abs(), rules))
    scale = pl.max_horizontal(1.4826 * pl.col("spread"), pl.lit(rules.spike_floor_ratio))
    limits = peak.select(
        "meter", "day", usual=pl.col("usual").exp(), limit=(pl.col("usual") + rules.spike_sigma * scale).exp()
    )
    judged = rates.join(limits, on=["meter", "day"], how="left", maintain_order="left")
    pulse = np.where(flow.energy, 1, facts.pulse_l[flow.meter]) / flow.hours()
    rate, usual = judged["rate"].to_numpy(), judged["usual"].fill_null(np.inf).to_numpy()
    member = (rate > judged["limit"].fill_null(np.inf).to_numpy()) & (rate - usual > rules.spike_sigma * pulse)
    runs = Runs.of(member, flow.follows())
    top = _top(np.where(member, rate / usual, 0.0), runs)
    words = pl.format("{} times the daily peak of the season", pl.col("size").round(1))
    return findings_of(Code.SPIKE, _columns(flow, runs, top), "ratio", words)


def _season(values: pl.Expr, rules: RuleSet) -> pl.Expr:
    return values.rolling_median(window_size=rules.spike_days, center=True, min_samples=7).over("meter")


def _top(values: Floats, runs: Runs) -> Floats:
    """Return the largest value of each run; values outside of runs must be the least of all."""
    if len(runs.first) == 0:
        return np.zeros(0)
    top: Floats = np.maximum.reduceat(values, runs.first)
    return top


def _low_flow(flow: Flow, rules: RuleSet) -> pl.DataFrame:
    """Return runs without a zero: a leak, a pilot flame, or a customer who never stops."""
    runs = Runs.of(flow.amount > 0, flow.follows())
    hours = (flow.to_us[runs.last] - flow.from_us[runs.first]) / US_PER_HOUR
    long = hours >= rules.low_flow_hours
    rate = flow.amount / np.maximum(flow.hours(), 1e-9)
    least = -_top(np.where(flow.amount > 0, -rate, -np.inf), runs)
    runs = runs.keep(long)
    columns = _columns(flow, runs, least[long])
    columns["hours"], columns["what"] = hours[long], _unit(flow, runs)
    words = pl.format(
        "flow without a stop for {} h, at least {} {}/h", pl.col("hours").round(1), pl.col("size").round(1), "what"
    )
    return findings_of(Code.LOW_FLOW, columns, pl.format("{}/h", "what"), words)
