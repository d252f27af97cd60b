"""Standard load profiles: how a customer's use follows the temperature and the hour."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from io import BytesIO

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

#: Weights of a day and the three days before it in the effective temperature [BDEW/VKU/GEODE, SLP Gas].
EFFECTIVE_WEIGHTS = np.array([1.0, 0.5, 0.25, 0.125]) / 1.875
_REFERENCE_C = 40.0
_INTERVAL_K = 5.0
_INTERVALS = 10


@dataclass(frozen=True, slots=True)
class Sigmoid:
    """Use of a day against the effective temperature, h(T) = A / (1 + (B / (T - 40))^C) + D [1].

    Args:
        height_ratio: A, height of the part for heating [1].
        bend_k: B, place of the bend, below 0 [K].
        steep_ratio: C, steepness [1].
        base_ratio: D, the part that does not depend on temperature [1].

    Example:
        >>> round(Sigmoid(3.0469695, -37.1833141, 5.6727847, 0.0961931).factor(np.array([8.0])).item(), 5)
        1.00752

    References:
        [1] BDEW/VKU/GEODE, Leitfaden Abwicklung von Standardlastprofilen Gas.
    """

    height_ratio: float
    bend_k: float
    steep_ratio: float
    base_ratio: float

    def factor(self, effective_c: Floats) -> Floats:
        """Return the use of days as a multiple of the customer value; the temperatures [°C] lie below 40."""
        below = np.minimum(effective_c, _REFERENCE_C - 1e-6) - _REFERENCE_C
        result: Floats = self.height_ratio / (1.0 + (self.bend_k / below) ** self.steep_ratio) + self.base_ratio
        return result


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of customer.

    Args:
        sigmoid: Use of a day against temperature.
        weekday: Factor of each weekday, Monday first [1].
        share: Share of the day's use by weekday, local hour and interval of temperature; shape (7, 24, 10) [1].
    """

    sigmoid: Sigmoid
    weekday: Floats
    share: Floats

    def days(self, weekday: Whole, effective_c: Floats) -> Floats:
        """Return the use of days as a multiple of the customer value; weekday 0 (Monday) to 6, temperature in °C."""
        result: Floats = self.sigmoid.factor(effective_c) * self.weekday[weekday]
        return result

    def hours(self, weekday: Whole, hour: Whole, effective_c: Floats) -> Floats:
        """Return the use of hours as a multiple of the customer value of a day.

        Args:
            weekday: 0 (Monday) to 6.
            hour: Local hour, 0 to 23.
            effective_c: Effective temperature of the day [°C].
        """
        interval = np.clip(np.ceil(np.ceil(effective_c) / _INTERVAL_K) + 3, 0, _INTERVALS - 1).astype(np.int64)
        result: Floats = self.days(weekday, effective_c) * self.share[weekday, hour, interval]
        return result


def effective_temperature_c(mean_c: Floats) -> Floats:
    """Return the effective temperature of consecutive days [°C]: the weighted mean with the three days before.

    The days before the first are taken to be as warm as the first.
    """
    padded = np.concatenate([np.full(3, mean_c[:1].sum()), mean_c])
    count = len(mean_c)
    result: Floats = sum(
        (weight * padded[3 - back : 3 - back + count] for back, weight in enumerate(EFFECTIVE_WEIGHTS)), np.zeros(count)
    )
    return result


def profile_of(customer_type: str) -> Profile:
    """Return the profile of a customer type; that of a house where the type is not known."""
    names, profiles = _tables()
    return profiles[names.get(customer_type, names["unassigned"])]


@lru_cache(maxsize=1)
def _tables() -> tuple[dict[str, str], dict[str, Profile]]:
    folder = files("citygate.validation") / "data"
    tables = tomllib.loads((folder / "profiles.toml").read_text(encoding="utf-8"))
    shares = pl.read_csv(BytesIO((folder / "hour_shares.csv").read_bytes()))
    profiles = {}
    for name in shares["profile"].unique():
        mine = shares.filter(pl.col("profile") == name).sort("weekday", "hour")
        share = mine.select(pl.selectors.starts_with("interval")).to_numpy().reshape(-1, 24, _INTERVALS)
        table = tables[name]
        sigmoid = Sigmoid(table["a"], table["b"], table["c"], table["d"])
        profiles[name] = Profile(sigmoid, np.array(table["weekday"]), np.broadcast_to(share, (7, 24, _INTERVALS)))
    return tables["customer_types"], profiles
