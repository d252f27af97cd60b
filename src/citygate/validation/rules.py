"""The limits of the rules, as data: every number with its source in `data/rules.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from functools import lru_cache
from importlib.resources import files

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
        limit_factor: A step may not exceed this many times the largest flow of the meter [1].
        rollover_from: A register can roll over when it stood above this share of its size [1].
        energy_wh_per_l_max: Largest energy of a litre of gas, to hold energies against the meter's size [Wh/l].
        overlap_tolerance: Share of a span that may overlap the span before it [1].
    """

    limit_factor: float
    rollover_from: float
    energy_wh_per_l_max: float
    overlap_tolerance: float


def parse_rules(text: str) -> RuleSet:
    """Return the rules written as TOML: one table for each limit, with its ``value``.

    Raises:
        WrongRulesError: A limit is missing or not known.
    """
    tables = {name: table for name, table in tomllib.loads(text).items() if isinstance(table, dict)}
    wanted = {field.name for field in fields(RuleSet)}
    if tables.keys() != wanted:
        raise WrongRulesError(wanted - tables.keys(), tables.keys() - wanted)
    return RuleSet(**{name: table["value"] for name, table in tables.items()})


@lru_cache(maxsize=1)
def standard_rules() -> RuleSet:
    """Return the rules that ship with Citygate."""
    return parse_rules((files("citygate.validation") / "data" / "rules.toml").read_text(encoding="utf-8"))
