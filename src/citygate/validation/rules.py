"""The limits of the rules, as data: every number with its source in `data/rules.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from functools import lru_cache
from importlib.resources import files
from typing import Any

from citygate.errors import CitygateError


class WrongRulesError(CitygateError):
    """A rule file lacks a value, or has one that no rule knows."""

    code = "wrong_rules"

    def __init__(self, missing: set[str], unknown: set[str]) -> None:
        self.missing = missing
        self.unknown = unknown
        super().__init__(f"the rule file lacks {sorted(missing)} and has the unknown {sorted(unknown)}")


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Limits of the rules on a series.

    Args:
        limit_ratio: A step may not exceed this many times the largest flow of the meter [1].
        rollover_from_share: A register can roll over when it stood above this share of its size [1].
        exchange_to_share: A register that fell below this share of what it showed was exchanged [1].
        energy_wh_per_l_max: Largest energy of a litre of gas, to hold energies against the meter's size [Wh/l].
        overlap_share: Share of a span that may overlap the span before it [1].
        zero_run_hours: Runs of zeros of this length or more are told [h].
        zero_run_chance_share: A run of zeros is unexpected when the meter's runs of the season give it less chance [1].
        heating_months: Months in which a meter without own runs of the season is expected to run as in all the year.
        stuck_hours: The same amount, not zero, is repeated for this long or more [h].
        stuck_repeat_count: ... and so many times or more.
        median_ratio: A rate above this many times the meter's non-zero median is told [1].
        spike_sigma: A daily peak may exceed that of the season by so many scaled median deviations [1].
        spike_days: Length of the season around a day [d].
        spike_floor_ratio: Least scale of the logarithm of a daily peak [1].
        low_flow_hours: Flow without a zero for this long or more is told [h].
        use_kwh_per_m2_min: Less use per floor area and year is suspect [kWh/m²/a].
        usable_year_share: A year counts when so much of it was read [1].
        usable_zero_share: ... and a smaller share of it was zero [1].
        peer_ratio: A yearly use so many times off that of its peers is suspect [1].
        peers_min: So many peers or more are needed.
        apportioned_correlation_ratio: Hourly series that correlate at least so well are shares of one meter [1].
        apportioned_hours: Hours that two meters must have in common [h].
        drift_share: A clock may be wrong by this share of the interval of its readings [1].
        drift_days: Days that are needed to see a clock drift [d].
        drift_ppm_max: A steeper slope is no clock [1e-6].
    """

    limit_ratio: float
    rollover_from_share: float
    exchange_to_share: float
    energy_wh_per_l_max: float
    overlap_share: float
    zero_run_hours: float
    zero_run_chance_share: float
    heating_months: tuple[int, ...]
    stuck_hours: float
    stuck_repeat_count: int
    median_ratio: float
    spike_sigma: float
    spike_days: int
    spike_floor_ratio: float
    low_flow_hours: float
    use_kwh_per_m2_min: float
    usable_year_share: float
    usable_zero_share: float
    peer_ratio: float
    peers_min: int
    apportioned_correlation_ratio: float
    apportioned_hours: int
    drift_share: float
    drift_days: int
    drift_ppm_max: float


def parse_rules(text: str) -> RuleSet:
    """Return the rules written as TOML: one table for each limit, with its ``value``.

    Raises:
        WrongRulesError: A limit is missing or not known.
    """
    tables = {name: table for name, table in tomllib.loads(text).items() if isinstance(table, dict)}
    wanted = {field.name for field in fields(RuleSet)}
    if tables.keys() != wanted:
        raise WrongRulesError(wanted - tables.keys(), tables.keys() - wanted)
    values: dict[str, Any] = {name: table["value"] for name, table in tables.items()}
    return RuleSet(**{**values, "heating_months": tuple(values["heating_months"])})


@lru_cache(maxsize=1)
def standard_rules() -> RuleSet:
    """Return the rules that ship with Citygate."""
    return parse_rules((files("citygate.validation") / "data" / "rules.toml").read_text(encoding="utf-8"))
