"""
The error model of dials.scale, and the variances without its relative term.

dials.scale writes variances a²(σ² + (bI)²), in which b stands for the spread, found as
one number for all: 1/(ab) is the I/σ that no reflection exceeds. To measure the spread,
that term is taken off again; a, which rescales the counting errors, stays.

Functions:
    error_model_parameters: a and b of one crystal
    relative_terms: ab of each
    counting_variance: variances without it
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dxtbx.model import Experiment

from dials_spread.observations import Observations

LEAST = 0.01
"""Part of a variance that is left at least: the term was rounded, or of another run."""


def error_model_parameters(experiment: Experiment) -> tuple[float, float] | None:
    """
    Read a and b of dials.scale's σ'² = a²(σ² + (bI)²).

    Args:
        experiment: Scaled or not.

    Returns:
        Both positive; None where no error model is known.
    """
    settings = getattr(experiment.scaling_model, "configdict", None) or {}
    parameters = settings.get("error_model_parameters")
    if parameters is None or len(parameters) < 2:
        return None
    return abs(float(parameters[0])), abs(float(parameters[1]))


def relative_terms(experiments: Sequence[Experiment]) -> np.ndarray:
    """
    Read the relative error that dials.scale put into the variances.

    Args:
        experiments: One a crystal, scaled or not.

    Returns:
        Shape (crystals,), ab; 0 where the error model has no such term; nan where no
        error model is known.
    """
    terms = np.full(len(experiments), np.nan)
    for i, experiment in enumerate(experiments):
        parameters = error_model_parameters(experiment)
        if parameters is not None:
            terms[i] = parameters[0] * parameters[1]
    return terms


def scaling_limit(terms: np.ndarray) -> float:
    """
    Give the I/σ limit that dials.scale found.

    Args:
        terms: Shape (crystals,), from relative_terms.

    Returns:
        The median of 1/(ab) over crystals; nan where it is unknown or without limit.
    """
    known = terms[np.isfinite(terms)]
    # Below 10⁻⁶ the minimiser has met its bound: no limit was found.
    if not len(known) or np.median(known) < 1e-6:
        return np.nan
    return float(1 / np.median(known))


def counting_variance(observations: Observations, terms: np.ndarray) -> np.ndarray:
    """
    Take the relative term off the variances of scaled observations.

    Args:
        observations: Scaled; others are left as they are.
        terms: Shape (crystals,), from relative_terms.

    Returns:
        Shape (n,), positive.
    """
    if not observations.scaled:
        return observations.variance
    term = np.nan_to_num(terms)[observations.crystal]
    left = observations.variance - (term * observations.intensity) ** 2
    return np.maximum(left, LEAST * observations.variance)
