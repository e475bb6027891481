"""
How far corrected amplitudes are off, predicted for each reflection.

The variance of a normalised amplitude E is taken as

    a² + b² E² + c² s²/n + d² m²,

s²/n being how its n observations scatter once they are corrected, and m the standard
deviation between the members of the ensemble. The four parameters are found from
reflections (or compounds) that the model had not seen, with the likelihood of Laplace's
distribution, since errors have heavy tails; all are then multiplied by one number so that
68.3 % of the errors lie within one standard deviation. Whether that holds for others is
tested on reflections that took no part in this either.

Functions:
    error_parts: s²/n and m² of reflections
    fit_error_law: the parameters
    cross_fitted: predicted with the parameters of others
    coverage: how many errors are within one and two standard deviations
    law_settings, law_from: to and from the settings of a model file
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from scipy import optimize

from dials_spread.statistics import ONE_SIGMA
from dials_spread.statistics.groups import group_means

N_FOLDS = 5
"""In which the parameters are found from other reflections."""

FEWEST = 30
"""Errors without which nothing is predicted."""

LARGEST = 1e3
"""A parameter of a model file beyond this makes no sense."""

_SETTINGS = {
    "error_floor": "floor",
    "error_strong": "strong",
    "error_scatter": "scatter",
    "error_members": "members",
    "error_mean": "mean",
}


@dataclass(frozen=True)
class ErrorLaw:
    """
    Predicts standard deviations of normalised amplitudes.

    Attributes:
        floor, strong, scatter, members: a, b, c, d; not negative.
        mean: Mean absolute error over the mean standard deviation, 0.8 of normal errors
            and more where some are far off.
    """

    floor: float
    strong: float
    scatter: float
    members: float
    mean: float

    def predict(self, E: np.ndarray, parts: np.ndarray) -> np.ndarray:
        """
        Predict.

        Args:
            E: Shape (u,), corrected normalised amplitudes.
            parts: Shape (u, 2), from error_parts.

        Returns:
            Shape (u,), positive.
        """
        squares = np.array([self.floor, self.strong, self.scatter, self.members]) ** 2
        return np.sqrt(_terms(E, parts) @ squares)


@dataclass(frozen=True)
class Coverage:
    """
    Whether predicted errors are as large as the true ones.

    Attributes:
        n: Reflections compared.
        within_one, within_two: Parts of them that lie within one and two predicted
            standard deviations; 0.683 and 0.954 of normal errors.
        rank_correlation: Spearman's, between predicted and absolute true error: 0 where
            the prediction does not know which reflections are good.
    """

    n: int
    within_one: float
    within_two: float
    rank_correlation: float

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return asdict(self)


def _terms(E: np.ndarray, parts: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones(len(E)), E**2, parts])


def error_parts(
    corrected: np.ndarray, spread: np.ndarray, unique: np.ndarray, n_unique: int
) -> np.ndarray:
    """
    Give what is known of the errors of merged amplitudes.

    Args:
        corrected: Shape (n,), corrected amplitudes of observations.
        spread: Shape (n,), standard deviation between the members of an ensemble.
        unique: Shape (n,), number of the unique reflection.
        n_unique: How many there are.

    Returns:
        Shape (u, 2), s²/n and m². A single observation is taken to scatter as the
        median reflection does.
    """
    n = np.bincount(unique, minlength=n_unique)
    mean = group_means(corrected, unique, n_unique)
    square = np.bincount(unique, (corrected - mean[unique]) ** 2, n_unique)
    several = n > 1
    variance = square / np.maximum(n - 1, 1)
    typical = np.median(variance[several]) if several.any() else 0.0
    variance = np.where(several, variance, typical)
    members = np.bincount(unique, spread**2, n_unique) / np.maximum(n, 1)
    return np.column_stack([variance / np.maximum(n, 1), members])


def fit_error_law(E: np.ndarray, parts: np.ndarray, error: np.ndarray) -> ErrorLaw:
    """
    Find the parameters.

    Args:
        E: Shape (n,), corrected normalised amplitudes.
        parts: Shape (n, 2), from error_parts.
        error: Shape (n,), corrected less true; what is not finite is left out.

    Raises:
        ValueError: There are too few errors.
    """
    kept = np.isfinite(error) & np.isfinite(E)
    terms, off = _terms(E, parts)[kept], np.abs(error[kept])
    if len(off) < FEWEST:
        raise ValueError(f"{len(off)} errors tell nothing; {FEWEST} are needed")
    # Each term alone would have to explain all: the search begins with equal shares.
    typical = np.median(off) / np.sqrt(np.maximum(np.mean(terms, axis=0), 1e-12))

    def minus(parameters: np.ndarray) -> float:
        sd = np.sqrt(terms @ np.exp(2 * parameters))
        return float(np.mean(np.log(sd) + np.sqrt(2) * off / sd))

    start = np.log(np.maximum(0.5 * typical, 1e-6))
    limits = [(max(x - 12, -20), x + 4) for x in start]
    found = optimize.minimize(minus, start, method="L-BFGS-B", bounds=limits)
    parameters = np.exp(found.x)
    sd = np.sqrt(terms @ parameters**2)
    parameters = parameters * np.quantile(off / sd, ONE_SIGMA)
    sd = np.sqrt(terms @ parameters**2)
    floor, strong, scatter, members = (float(x) for x in parameters)
    return ErrorLaw(
        floor, strong, scatter, members, mean=float(np.mean(off) / np.mean(sd))
    )


def cross_fitted(
    E: np.ndarray,
    parts: np.ndarray,
    error: np.ndarray,
    groups: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """
    Predict each standard deviation with parameters found from other groups.

    Args:
        E, parts, error: As for fit_error_law.
        groups: Shape (n,), labels: of reflections or of compounds.
        rng: Source of random numbers, for folds.

    Returns:
        Shape (n,), nan where the others are too few, or there are none.
    """
    names, number = np.unique(groups, return_inverse=True)
    fold = rng.permutation(len(names))[np.ravel(number)] % N_FOLDS
    predicted = np.full(len(E), np.nan)
    for k in range(min(N_FOLDS, len(names))):
        test = fold == k
        try:
            law = fit_error_law(E[~test], parts[~test], error[~test])
        except ValueError:
            continue
        predicted[test] = law.predict(E[test], parts[test])
    return predicted


def coverage(error: np.ndarray, predicted: np.ndarray) -> Coverage | None:
    """
    Count the errors within one and two predicted standard deviations.

    Args:
        error: Shape (n,); what is not finite is left out.
        predicted: Shape (n,), likewise.

    Returns:
        None where nothing can be compared.
    """
    kept = np.isfinite(error) & np.isfinite(predicted) & (predicted > 0)
    off, sd = np.abs(error[kept]), predicted[kept]
    if not len(off):
        return None
    rank_off, rank_sd = (np.argsort(np.argsort(x)) for x in (off, sd))
    varies = np.ptp(sd) > 0 and np.ptp(off) > 0
    return Coverage(
        n=len(off),
        within_one=float(np.mean(off <= sd)),
        within_two=float(np.mean(off <= 2 * sd)),
        rank_correlation=float(np.corrcoef(rank_off, rank_sd)[0, 1]) if varies else 0.0,
    )


def law_settings(law: ErrorLaw) -> dict[str, float]:
    """Give the numbers that a model file needs."""
    return {name: getattr(law, key) for name, key in _SETTINGS.items()}


def law_from(settings: Mapping[str, float]) -> ErrorLaw | None:
    """
    Take the parameters from a model file.

    Args:
        settings: Of the file, whoever wrote it.

    Returns:
        None where it has none.

    Raises:
        ValueError: They make no sense.
    """
    if not any(name in settings for name in _SETTINGS):
        return None
    values = [float(settings.get(name, np.nan)) for name in _SETTINGS]
    if not all(0 <= x <= LARGEST for x in values):
        told = ", ".join(f"{k}={x:g}" for k, x in zip(_SETTINGS, values))
        raise ValueError(f"The model predicts errors with {told}, which makes no sense")
    return ErrorLaw(*values)
