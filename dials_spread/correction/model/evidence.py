"""
Whether the data themselves show multiple scattering.

What multiple scattering does to an observation depends on its orientation, what the true
amplitude is does not. So observations of one reflection differ from each other as the model
expects of their orientations where there is multiple scattering, and do not where there is
none, however large other errors are. The slope of the observed on the expected differences
is nought then. No amplitude of a reflection takes part in it, true or corrected.

With multiple scattering the slope is seldom 1: the expectation is a cautious mean over all
that an observation may have met, and thick crystals show two or three times as much.

Functions:
    slope_of: of observed on expected differences between equivalents
    size_of: of the expected ones
    probability_of_scattering: that there is multiple scattering, from the slope
    expected_differences: what the model expects of each observation
    evidence_of: both, and the part of a correction that they bear out
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dials_spread.correction.features.all_features import FeatureSet
from dials_spread.correction.model.forest import predict_in_one_thread
from dials_spread.prepare.normalisation import LEAST_E
from dials_spread.prepare.prepared import Prepared
from dials_spread.statistics.groups import group_means, group_sums

FEWEST = 60
"""Reflections measured more than once without which nothing can be told."""

TOO_SMALL = 0.1
"""Expected differences, root mean square in units of the errors, below which nothing can be
told: any small error of the scales makes a slope then. Single scattering of a cell of 57,700 Å³
to 2.2 Å has 0.05, and slopes of 0.7 and 2.0; of ten small compounds, measured ones among them, 0.27
and more."""

WITHOUT = (0.0, 0.04)
"""Mean and standard deviation of the slope over compounds without multiple scattering."""

WITH = (0.8, 0.6)
"""The same with it: random compounds, crystals of 150 to 1,100 Å."""

ODDS = 2.0
"""Data with multiple scattering for each without, before anything was looked at."""

UNDERSTATED = 1.2
"""Standard deviation of the slope over kinematic data sets, in standard uncertainties."""

SURE = 0.9
"""Probability beyond which there is taken to be multiple scattering, and below one minus
which there is taken to be none."""

RELATIVE_ERROR = 0.07
"""Of an amplitude, beyond its σ: strong reflections do not decide alone."""

MOST = 3.0
"""Robust standard deviations beyond which a difference counts no more."""


@dataclass(frozen=True)
class Evidence:
    """
    What equivalents say of multiple scattering.

    Attributes:
        slope: Of observed on expected differences between equivalents: 0 without multiple
            scattering; nan where too few reflections were measured twice.
        slope_su: Its standard uncertainty, reflections taken for independent.
        n: Reflections that it rests on.
        probability: That there is multiple scattering; nan likewise.
        strength: Part of the correction that is borne out, 0 to 1; 1 where nothing can
            be told.
    """

    slope: float
    slope_su: float
    n: int
    probability: float
    strength: float

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return asdict(self)


def slope_of(
    E: np.ndarray, expected: np.ndarray, sigma: np.ndarray, unique: np.ndarray
) -> tuple[float, float, int]:
    """
    Compare how equivalents differ with how they are expected to differ.

    Args:
        E: Shape (n,), normalised amplitudes.
        expected: Shape (n,), by how much each is expected to be off.
        sigma: Shape (n,), positive, of E.
        unique: Shape (n,).

    Returns:
        Slope through the origin of the differences from the reflection's mean, its
        standard uncertainty (the sandwich of White (1980), Econometrica 48, 817, by
        reflection), and the number of reflections measured more than once.
    """
    n = int(unique.max(initial=-1)) + 1
    weight = 1 / sigma**2
    repeated = int(np.count_nonzero(np.bincount(unique, minlength=n) > 1))

    def differences(x: np.ndarray) -> np.ndarray:
        return x - group_means(x, unique, n, weight)[unique]

    y, x = differences(E), differences(expected)
    z = np.abs(y) / sigma
    typical = np.median(z[z > 0]) / 0.6745 if (z > 0).any() else 1.0
    most = MOST * typical * sigma
    y = differences(np.clip(y, -most, most))
    product, square = (group_sums(weight * x * c, unique, n) for c in (y, x))
    total = square.sum()
    if not total > 0:
        return float("nan"), float("nan"), repeated
    slope = product.sum() / total
    su = np.sqrt(np.sum((product - slope * square) ** 2)) / total
    return float(slope), float(su), repeated


def size_of(expected: np.ndarray, sigma: np.ndarray, unique: np.ndarray) -> float:
    """
    Say how large expected differences between equivalents are.

    Args:
        expected, sigma, unique: As for slope_of.

    Returns:
        Their root mean square in units of the errors.
    """
    n = int(unique.max(initial=-1)) + 1
    own = expected - group_means(expected, unique, n, 1 / sigma**2)[unique]
    return float(np.sqrt(np.mean((own / sigma) ** 2))) if len(own) else 0.0


def probability_of_scattering(slope: float, su: float) -> float:
    """
    Give the probability that there is multiple scattering.

    Args:
        slope: From slope_of.
        su: Its standard uncertainty.

    Returns:
        By Bayes' theorem, from normal distributions of the slope over simulated compounds
        without and with multiple scattering, and ODDS.
    """

    def log_density(off: float, sd: float) -> float:
        variance = sd**2 + (UNDERSTATED * su) ** 2
        return -0.5 * (off**2 / variance + np.log(variance))

    # A slope above the usual one does not speak against multiple scattering, nor one
    # below nought for it.
    log_odds = np.log(ODDS)
    log_odds += log_density(min(slope - WITH[0], 0.0), WITH[1])
    log_odds -= log_density(max(slope - WITHOUT[0], 0.0), WITHOUT[1])
    return float(1 / (1 + np.exp(-np.clip(log_odds, -50, 50))))


def expected_differences(
    features: FeatureSet, bias: Any, nproc: int | None = None
) -> np.ndarray:
    """
    Give what each observation is expected to be off, without its own intensity.

    Args:
        features: Of n observations.
        bias: Regressor that gives it from the features.
        nproc: Threads; all cores by default.

    Returns:
        Shape (n,).
    """
    # The mean of the others is the larger, the smaller an observation is itself: known to
    # the expectation, it would make a slope of its own.
    others = features.observation_names.index("mean_of_others")
    return features.from_tables(_without_itself, (bias, others), nproc)


def _without_itself(
    shared: tuple[Any, int], E: np.ndarray, table: np.ndarray
) -> np.ndarray:
    """Give what is expected where all of a reflection are told in place of the others."""
    bias, others = shared
    table = table.copy()
    table[:, others] = E
    return predict_in_one_thread(bias, table)


def evidence_of(prepared: Prepared, expected: np.ndarray) -> Evidence:
    """
    Look for multiple scattering.

    Args:
        prepared: The compound, n observations, each crossing of the Ewald sphere once.
        expected: Shape (n,), from expected_differences.
    """
    unique = prepared.measured.unique
    E_k = prepared.E_k[unique]
    counted = prepared.sigma / prepared.N[unique] / (2 * np.maximum(E_k, LEAST_E))
    sigma = np.hypot(counted, RELATIVE_ERROR * np.maximum(E_k, LEAST_E))
    slope, su, n = slope_of(prepared.E_i, expected, sigma, unique)
    small = size_of(expected, sigma, unique) < TOO_SMALL
    if n < FEWEST or small or not np.isfinite(slope):
        return Evidence(slope, su, n, float("nan"), 1.0)
    probability = probability_of_scattering(slope, su)
    strength = probability
    if probability > SURE:
        strength = 1.0
    elif probability < 1 - SURE:
        strength = 0.0
    return Evidence(slope, su, n, probability, strength)
