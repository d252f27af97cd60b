"""Four homes whose gas was measured, moved to another year.

Source: opengrid 0.5.10 and opendsm 1.2.7 (Apache-2.0); see ``data/homes/README.md``. The meters gave energy;
litres follow with `citygate.simulate.gas.WH_PER_LITRE`.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from citygate.quantity.clock import US_PER_HOUR, Micros
from citygate.simulate.gas import WH_PER_LITRE

if TYPE_CHECKING:
    from citygate.simulate.demand import Litres

#: Homes in the order of the columns of `litres`.
HOMES = ("be-313b", "be-ba14", "be-d5a7", "uk-0")
#: British clocks show one hour less than those of the town: seven in the morning is one hour of UTC later.
_LATER_US = {"be": 0, "uk": US_PER_HOUR}
_WEEK_US = 7 * 24 * US_PER_HOUR
_YEAR_US = 365.2425 * 24 * US_PER_HOUR


def litres(begin_us: Micros, length_h: float) -> Litres:
    """Return what each home burnt in each slot, shape (slots, homes) [litre].

    The measured series is moved by a whole number of weeks, the number nearest to a number of years: weekday and local
    hour stay, the season is kept within four days. In the days between the clock changes of the two years the hour is
    one off. Beyond the first year of a series it repeats.

    Args:
        begin_us: Begin of each slot [µs UTC].
        length_h: Length of a slot, one hour or a part of it [h].
    """
    columns = []
    for name in HOMES:
        first_us, energy_wh = _series(name)
        source_us = source_instant(begin_us + _LATER_US[name[:2]], first_us)
        hour = np.clip((source_us - first_us) // US_PER_HOUR, 0, len(energy_wh) - 1)
        columns.append(energy_wh[hour] * (length_h / WH_PER_LITRE))
    return np.stack(columns, axis=1).astype(np.float32)


def source_instant(at_us: Micros, first_us: int) -> Micros:
    """Return the instant of the measured year that stands for each instant [µs UTC].

    Args:
        at_us: Instants of the simulation [µs UTC].
        first_us: Begin of the measured series [µs UTC].
    """
    years = np.floor((at_us - first_us) / _YEAR_US)
    shifted: Micros = at_us - np.rint(years * _YEAR_US / _WEEK_US).astype(np.int64) * _WEEK_US
    early = shifted < first_us
    return np.where(early, shifted + 52 * _WEEK_US, shifted)


@lru_cache(maxsize=len(HOMES))
def _series(name: str) -> tuple[int, Micros]:
    file = resources.files("citygate.simulate") / "data" / "homes" / "measured_hour.parquet"
    with resources.as_file(file) as path:
        rows = pl.read_parquet(path).filter(pl.col("home") == name)
    return int(rows["start_us"][0]), rows["energy_wh"].cast(pl.Int64).to_numpy()
