from __future__ import annotations

import numpy as np
import pytest

from citygate.detection.arl import cusum_alarm, cusum_arl, ewma_arl, sprt_bounds, sprt_sample_count

RUNS = 10_000


def within(lengths: np.ndarray, expected: float) -> bool:
    return bool(abs(lengths.mean() - expected) < 3 * lengths.std(ddof=1) / np.sqrt(len(lengths)))


def simulated(step, shift: float, seed: int) -> np.ndarray:
    """Run lengths of many charts at once; ``step`` advances a level and says where it alarms."""
    rng = np.random.default_rng(seed)
    level, lengths, alive = np.zeros(RUNS), np.zeros(RUNS), np.arange(RUNS)
    while len(alive):
        level, alarms = step(level, rng.standard_normal(len(alive)) + shift)
        lengths[alive] += 1
        level, alive = level[~alarms], alive[~alarms]
    return lengths


@pytest.mark.parametrize(("alarm", "calm", "shifted"), [(4.0, 335.37, 8.383), (5.0, 930.89, 10.376)])
def test_textbook_cusum_run_lengths(alarm: float, calm: float, shifted: float) -> None:
    # One-sided, k = 1/2; the two-sided scheme halves the first (Montgomery: 168 and 465).
    assert cusum_arl(0.5, alarm) == pytest.approx(calm, abs=0.01)
    assert cusum_arl(0.5, alarm, shift=1.0) == pytest.approx(shifted, abs=0.001)


@pytest.mark.parametrize(("wanted", "alarm", "delay"), [(1e4, 7.361, 15.09), (1e5, 9.662, 19.70), (1e6, 11.964, 24.30)])
def test_the_price_of_fewer_false_alarms(wanted: float, alarm: float, delay: float) -> None:
    # One false alarm a day in a hundred thousand meters read once a day is a run length of 1e5.
    assert cusum_alarm(0.5, wanted) == pytest.approx(alarm, abs=0.001)
    assert cusum_arl(0.5, alarm, shift=1.0) == pytest.approx(delay, abs=0.01)


@pytest.mark.parametrize(("shift", "length"), [(0, 499.6), (0.25, 106.3), (0.5, 31.30), (1, 10.33), (1.5, 6.08)])
def test_textbook_ewma_run_lengths(shift: float, length: float) -> None:
    assert ewma_arl(0.1, 2.814, shift) == pytest.approx(length, rel=0.001)


def test_sprt_bounds_and_mean_sample_count() -> None:
    assert sprt_bounds(0.001, 0.05) == pytest.approx((6.8565, -2.9947), abs=0.0001)
    assert sprt_sample_count(0.001, 0.05, 1.0) == pytest.approx(12.73, abs=0.005)


@pytest.mark.parametrize(("alarm", "shift"), [(4.0, 0.0), (9.662, 1.0)])
def test_simulated_cusums_agree_with_the_integral_equation(alarm: float, shift: float) -> None:
    def step(level: np.ndarray, sample: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        after = np.maximum(0, level + sample - 0.5)
        return after, after > alarm

    assert within(simulated(step, shift, 1), cusum_arl(0.5, alarm, shift))


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_simulated_ewmas_agree_with_the_integral_equation(shift: float) -> None:
    edge = 2.814 * np.sqrt(0.1 / 1.9)

    def step(level: np.ndarray, sample: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        after = 0.9 * level + 0.1 * sample
        return after, np.abs(after) > edge

    assert within(simulated(step, shift, 2), ewma_arl(0.1, 2.814, shift))
