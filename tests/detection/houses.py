"""A few houses with known leaks, for tests that need no city."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl

from citygate.detection.meters import Meters
from citygate.fleet.registry import Registry
from citygate.quantity.clock import to_us
from citygate.reading.batch import ValidatedBatch

HOUR_US = 3_600_000_000
START_US = to_us(datetime(2025, 1, 6, 5, tzinfo=UTC))  # 06:00 in Berlin: a gas day begins


def registers(flow_lph: np.ndarray, pulse_l: int = 1, span_us: int = HOUR_US) -> pl.DataFrame:
    """Registers of meters (rows) that take these flows in each span (columns)."""
    count, spans = flow_lph.shape
    index_l = (np.cumsum(flow_lph * (span_us / HOUR_US), axis=1) // pulse_l * pulse_l).astype(np.int64)
    at_us = START_US + np.arange(1, spans + 1) * span_us
    frame = {
        "meter": np.repeat(np.arange(count, dtype=np.int32), spans),
        "at_us": np.tile(at_us, count),
        "index_l": index_l.ravel(),
    }
    return ValidatedBatch.of(pl.DataFrame(frame)).rows


def house_flows(count: int, days: int, seed: int) -> np.ndarray:
    """Hourly flows of heated houses whose gas stops in most nights [litre/h]."""
    rng = np.random.default_rng(seed)
    hour = (np.arange(days * 24) + 6) % 24
    awake = (hour >= 6) & (hour < 22)
    cold = np.repeat(np.clip(1 + np.cumsum(rng.normal(0, 0.15, days)), 0.2, 2), 24)
    size = rng.lognormal(6.3, 0.4, count)[:, None]
    burning = rng.random((count, days * 24)) < np.where(awake, 0.8, 0.12)
    return size * np.where(awake, 1.0, 0.15) * cold * burning * rng.gamma(4, 0.25, burning.shape)


def meters_of(count: int, **facts: object) -> Meters:
    """Facts of meters m0, m1, ... in one zone unless said otherwise."""
    columns = {"meter": [f"m{code}" for code in range(count)], "zone": ["north"] * count, **facts}
    return Meters.of(Registry.of(pl.DataFrame(columns)))
