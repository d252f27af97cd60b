"""Average run lengths: how often a control chart cries wolf, and how long it takes to see a change."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Reals = npt.NDArray[np.float64]

_NODE_COUNT = 64
_HALVING_COUNT = 40


def cusum_arl(slack: float, alarm: float, shift: float = 0.0) -> float:
    """Return the mean number of samples until a one-sided CUSUM of standard normal samples raises an alarm.

    Solves L(s) = 1 + L(0) P(z <= slack - s) + integral over 0..alarm of L(y) phi(y + slack - s) dy, with
    z normal of mean ``shift``, by Gauss-Legendre quadrature [1][2].

    Args:
        slack: Reference value k [standard deviations].
        alarm: Decision interval h [standard deviations], above 0.
        shift: Mean of the samples [standard deviations]; 0 gives the time between false alarms.

    References:
        [1] Page E.S. (1954), Continuous inspection schemes, Biometrika 41, doi:10.1093/biomet/41.1-2.100.
        [2] Goel A.L., Wu S.M. (1971), Determination of A.R.L. and a contour nomogram for cusum charts to control normal
            mean, Technometrics 13, doi:10.1080/00401706.1971.10488776.
    """
    points, weights = np.polynomial.legendre.leggauss(_NODE_COUNT)
    level = 0.5 * alarm * (points + 1)
    weight = 0.5 * alarm * weights
    starts = np.append(level, 0.0)
    kernel = _density(level[None, :] + slack - starts[:, None] - shift) * weight[None, :]
    at_zero = _distribution(slack - starts - shift)[:, None]
    system = np.eye(len(starts)) - np.hstack([kernel, at_zero])
    return float(np.linalg.solve(system, np.ones(len(starts)))[-1])


def ewma_arl(weight: float, limit: float, shift: float = 0.0) -> float:
    """Return the mean number of samples until a two-sided EWMA of standard normal samples raises an alarm.

    Solves L(u) = 1 + (1 / weight) * integral over -c..c of L(y) phi((y - (1 - weight) u) / weight - shift) dy with
    c = limit * sqrt(weight / (2 - weight)) by Gauss-Legendre quadrature [1].

    Args:
        weight: Weight of the newest sample, within 0 to 1.
        limit: Width of the limits L [standard deviations of the EWMA].
        shift: Mean of the samples [standard deviations].

    References:
        [1] Lucas J.M., Saccucci M.S. (1990), Exponentially weighted moving average control schemes, Technometrics 32,
            doi:10.1080/00401706.1990.10484583.
    """
    points, weights = np.polynomial.legendre.leggauss(_NODE_COUNT)
    edge = limit * math.sqrt(weight / (2 - weight))
    level = np.append(edge * points, 0.0)
    kernel = _density((level[None, :-1] - (1 - weight) * level[:, None]) / weight - shift) * (edge * weights / weight)
    system = np.eye(len(level)) - np.hstack([kernel, np.zeros((len(level), 1))])
    return float(np.linalg.solve(system, np.ones(len(level)))[-1])


def cusum_alarm(slack: float, wanted: float) -> float:
    """Return the decision interval of a one-sided CUSUM with a false alarm every ``wanted`` samples on average."""
    low, high = 0.01, 40.0
    for _ in range(_HALVING_COUNT):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if cusum_arl(slack, middle) < wanted else (low, middle)
    return 0.5 * (low + high)


def sprt_bounds(false_alarm: float, miss: float) -> tuple[float, float]:
    """Return Wald's bounds (upper, lower) on the log likelihood ratio.

    Args:
        false_alarm: Chance of an alarm where nothing changed, alpha.
        miss: Chance of none where something did, beta.

    References:
        Wald A. (1945), Sequential tests of statistical hypotheses, doi:10.1214/aoms/1177731118.
    """
    return math.log((1 - miss) / false_alarm), math.log(miss / (1 - false_alarm))


def sprt_sample_count(false_alarm: float, miss: float, shift: float) -> float:
    """Return the mean number of samples that Wald's test takes to confirm a shift of a normal mean.

    Args:
        false_alarm: Alpha.
        miss: Beta.
        shift: Size of the shift [standard deviations], above 0.
    """
    upper, lower = sprt_bounds(false_alarm, miss)
    return ((1 - miss) * upper + miss * lower) / (0.5 * shift * shift)


def _density(value: Reals) -> Reals:
    return np.exp(-0.5 * value * value) / math.sqrt(2 * math.pi)


def _distribution(value: Reals) -> Reals:
    return np.array([0.5 * math.erfc(-one / math.sqrt(2)) for one in value])
