"""
Errors of what a model had not seen, and what was predicted of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dials_spread.correction.apply.error_law import (
    Coverage,
    ErrorLaw,
    coverage,
    cross_fitted,
    error_parts,
    fit_error_law,
)
from dials_spread.correction.validate.learning import LearningData, merge_rows


@dataclass(frozen=True)
class UnseenErrors:
    """
    Errors of normalised amplitudes under one split.

    Attributes:
        error: Shape (u,), corrected less true; nan where either is not known.
        predicted: Shape (u,), standard deviations, by parameters from other reflections
            or compounds; nan where there were too few.
        law: The parameters from all; None where there are too few errors.
        coverage: How many errors are within the predicted ones; None likewise.
    """

    error: np.ndarray
    predicted: np.ndarray
    law: ErrorLaw | None
    coverage: Coverage | None


def unseen_errors(
    data: LearningData,
    split: str,
    bias: np.ndarray,
    spread: np.ndarray,
    rng: np.random.Generator,
) -> UnseenErrors:
    """
    Find how errors can be predicted, and test that on others.

    Args:
        data: n observations of u reflections.
        split: "reflection" or "compound": what had not been seen, and is left out again
            for the test.
        bias: Shape (n,), predicted by a model that had not seen it.
        spread: Shape (n,), between the members of that model.
        rng: Source of random numbers.
    """
    left = data.E_i - bias
    E = np.maximum(merge_rows(data, left), 0)
    parts = error_parts(left, spread, data.unique, data.n_unique)
    error = E - data.target
    groups = data.compound_of if split == "compound" else np.arange(data.n_unique)
    try:
        law = fit_error_law(E, parts, error)
    except ValueError:
        law = None
    predicted = cross_fitted(E, parts, error, groups, rng)
    return UnseenErrors(error, predicted, law, coverage(error, predicted))
