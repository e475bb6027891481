"""
How far a corrected amplitude is to be trusted: a model of what remains out of fold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from dials_spread.ml.training.out_of_fold import Assessed, folds
from dials_spread.ml.two_models import default_regressor


def fit_error(
    assessed: Sequence[Assessed],
    n_folds: int,
    seed: int,
    make_regressor: Callable[[str, int], Any] = default_regressor,
) -> tuple[Any, dict[str, float]]:
    """
    Fit a regressor of the absolute error of corrected normalised amplitudes.

    Args:
        assessed: What came out of fold.
        n_folds: Into which compounds are divided to see how good the prediction is.
        seed: Of the division and the fits.
        make_regressor: Gives an unfitted regressor from a loss and a seed.

    Returns:
        The regressor, of all; and how well R1 was predicted where the compound was not
        among those fitted: the rank correlation of predicted with true R1, and the
        median of the factor between them.
    """
    fold = folds([a.outcome.compound for a in assessed], n_folds, seed + 1)
    predicted = np.full(len(assessed), np.nan)
    for k in range(n_folds):
        model = _fit(
            [a for a, f in zip(assessed, fold) if f != k], seed, make_regressor
        )
        for i in np.flatnonzero(fold == k):
            a = assessed[i]
            error = np.maximum(model.predict(a.rows), 0)
            predicted[i] = np.sum(error * a.root_N) / np.sum(a.E * a.root_N)
    true = np.array([a.outcome.after["model"] for a in assessed])
    ln_factor = np.log(predicted / true)
    return _fit(assessed, seed, make_regressor), {
        "rank correlation": float(spearmanr(predicted, true).statistic),
        "median factor": float(np.exp(np.median(ln_factor))),
        "factor that two thirds are within": float(
            np.exp(np.quantile(np.abs(ln_factor), 2 / 3))
        ),
        "sets": len(assessed),
    }


def _fit(assessed: Sequence[Assessed], seed: int, make_regressor: Callable) -> Any:
    rows = np.concatenate([a.rows for a in assessed])
    error = np.concatenate([np.abs(a.E - a.target) for a in assessed])
    known = np.isfinite(error)
    # The mean error, not the median, is what R1 sums up.
    return make_regressor("squared_error", seed).fit(rows[known], error[known])
