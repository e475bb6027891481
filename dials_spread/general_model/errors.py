"""
How far a corrected amplitude is to be trusted, judged on held-out compounds.

Functions:
    fit_error: a model of what remains, for boosted trees
    error_scale: what the errors that networks expect are to be multiplied with
    judge: how well R1 is predicted
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from dials_spread.correction.model.tree_model import default_regressor
from dials_spread.general_model.out_of_fold import Assessed, folds


def fit_error(
    assessed: Sequence[Assessed],
    n_folds: int,
    seed: int,
    make_regressor: Callable[[str, int], Any] = default_regressor,
) -> tuple[Any, list[Assessed]]:
    """
    Fit a regressor of the absolute error of corrected normalised amplitudes.

    Args:
        assessed: Results of held-out compounds, with rows.
        n_folds: Into which compounds are divided to see how good the prediction is.
        seed: Of the division and the fits.
        make_regressor: Gives an unfitted regressor from a loss and a seed.

    Returns:
        The regressor, of all; and the sets with the errors that are expected where the
        compound was not among those fitted.
    """
    fold = folds([a.outcome.compound for a in assessed], n_folds, seed + 1)
    told: list[Assessed] = list(assessed)
    for k in range(n_folds):
        model = _fit(
            [a for a, f in zip(assessed, fold) if f != k], seed, make_regressor
        )
        for i in np.flatnonzero(fold == k):
            corrected = assessed[i].corrected
            error = np.maximum(model.predict(corrected.rows), 0)
            told[i] = replace(assessed[i], corrected=replace(corrected, error=error))
    return _fit(assessed, seed, make_regressor), told


def _fit(assessed: Sequence[Assessed], seed: int, make_regressor: Callable) -> Any:
    rows = np.concatenate([a.corrected.rows for a in assessed])
    error = np.concatenate([np.abs(a.corrected.E - a.target) for a in assessed])
    known = np.isfinite(error)
    # The mean error, not the median, is what R1 sums up.
    return make_regressor("squared_error", seed).fit(rows[known], error[known])


def _predicted_r1(a: Assessed) -> float:
    corrected = a.corrected
    total = np.sum(corrected.E * a.root_N)
    return float(np.sum(corrected.error * a.root_N) / max(total, 1e-30))


def error_scale(assessed: Sequence[Assessed]) -> float:
    """
    Give the factor that makes predicted R1 right for half of the sets.

    Args:
        assessed: Results of held-out compounds.
    """
    ratio = [a.outcome.after["model"] / _predicted_r1(a) for a in assessed]
    return float(np.median(ratio))


def judge(assessed: Sequence[Assessed], scale: float = 1.0) -> dict[str, float]:
    """
    Say how well R1 is predicted.

    Args:
        assessed: Results of held-out compounds, with expected errors.
        scale: By which these are multiplied.

    Returns:
        The rank correlation of predicted with true R1, the median of the factor between
        them, the factor that two thirds of the sets are within, and the part of all
        reflections whose error is below the one expected (0.58 were errors normal,
        0.63 were they of a Laplace distribution).
    """
    predicted = scale * np.array([_predicted_r1(a) for a in assessed])
    true = np.array([a.outcome.after["model"] for a in assessed])
    ln_factor = np.log(predicted / true)
    below = [
        np.abs(a.corrected.E - a.target) < scale * a.corrected.error for a in assessed
    ]
    return {
        "rank correlation": float(spearmanr(predicted, true).statistic),
        "median factor": float(np.exp(np.median(ln_factor))),
        "factor that two thirds are within": float(
            np.exp(np.quantile(np.abs(ln_factor), 2 / 3))
        ),
        "errors below expected": float(np.mean(np.concatenate(below))),
        "sets": len(assessed),
    }
