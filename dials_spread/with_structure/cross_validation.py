"""
Whether observations are predicted better that took no part in the amplitudes.

In turn a fifth of the observations, of the reflections with all of their observations, or
of the crystals, is left out; amplitudes come from the others, and predict what was left out
(inversion.predict). Which fifth is chance, and so is a part of the result: it is the mean over
several ways of dealing.

The same tells how far observations are to be followed (FirstEstimate.width), as in ridge
regression (Golub, Heath & Wahba (1979), Technometrics 21, 215): where a structure lacks much, or
where all observations of a reflection are wrong alike, less far than errors say. And it tells which
amplitudes the potential should have: observations are linearised around several.

Classes:
    HeldOutPredictions: residuals before and after

Functions:
    choose_start: which amplitudes to start from, and how far to follow observations
    cross_validate: each part from the others
    compare: two predictions
    z_over_reflections: how certain a gain is
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from dials_spread import stages
from dials_spread.rfactor import amplitudes
from dials_spread.stages import stage
from dials_spread.with_structure.inversion import (
    FirstEstimate,
    LinearisedObservations,
    step_of,
    weigh,
)

Start = tuple[LinearisedObservations, np.ndarray]
"""Observations around some amplitudes, and the scale of each, shape (n,)."""

FOLDS = 5

WIDTHS = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4)
"""That are tried. Simulated compounds are predicted best with 0.5 to 1, complete or not;
beyond 1.4 nothing was gained by any."""


@dataclass(frozen=True)
class HeldOutPredictions:
    """
    Predictions of observations that were left out.

    Attributes:
        before, after: Σ|√y - √I| / Σ√y of all of them, predicted by the first estimate
            and after a step.
        z: Their difference over its standard deviation, from sums over reflections:
            observations of one are not independent. Positive where after is better.
        n: Observations.
        n_reflections: Reflections that they are of.
    """

    before: float
    after: float
    z: float
    n: int
    n_reflections: int

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return asdict(self)


@stage("Cross-validation")
def cross_validate(
    observations: LinearisedObservations,
    prior: FirstEstimate,
    intraclass: float,
    folds: Sequence[np.ndarray],
) -> HeldOutPredictions:
    """
    Predict observations from others.

    Args:
        observations, prior, intraclass: As for inversion.solve.
        folds: Ways of dealing; each of shape (n,), number of the part that an observation
            belongs to. Parts are left out in turn.
    """
    predicted = _by_width(observations, [prior], intraclass, folds)[0]
    return _judged(observations, predicted)


@stage("Cross-validation")
def choose_start(
    starts: Sequence[Start],
    prior: FirstEstimate,
    intraclass: float,
    folds: Sequence[np.ndarray],
) -> tuple[int, FirstEstimate, HeldOutPredictions]:
    """
    Find the start and the width that predict what is left out best, and say how well.

    Args:
        starts: Observations around different amplitudes, and their scales; those of the
            first estimate first.
        prior, intraclass, folds: As for cross_validate.

    Returns:
        The number of the start, the first estimate with the width, and predictions of each
        part with what is best for all others: the part has no say in it, either.
    """
    tried = [replace(prior, width=w) for w in WIDTHS]
    first, scale = starts[0]
    predicted = np.concatenate(
        [
            _by_width(one, tried, intraclass, folds) * (scale / its_own)
            for one, its_own in starts
        ]
    )
    f_o = amplitudes(first.intensity)
    off = np.abs(f_o - np.sqrt(np.maximum(predicted, 0)))
    off = np.where(np.isfinite(off), off, 0.0)
    number, width = divmod(int(np.argmin(off.sum(axis=(1, 2)))), len(WIDTHS))
    of_others = np.array(predicted[0])
    for f, fold in enumerate(folds):
        for k in np.unique(fold):
            own = fold == k
            best = int(np.argmin(off[:, f, ~own].sum(axis=1)))
            of_others[f, own] = predicted[best, f, own]
    return number, tried[width], _judged(first, of_others)


def _by_width(
    observations: LinearisedObservations,
    priors: Sequence[FirstEstimate],
    intraclass: float,
    folds: Sequence[np.ndarray],
) -> np.ndarray:
    """Predict observations from others: shape (first estimates, ways of dealing, n)."""
    found = np.tile(observations.calculated, (len(priors), len(folds), 1))
    # Of a single part nothing is left to predict it from.
    both = [
        (f, k)
        for f, parts in enumerate(map(np.unique, folds))
        for k in (parts if len(parts) > 1 else ())
    ]
    for f, k in stages.counted(both, len(both)):
        own = folds[f] == k
        weighed = weigh(observations, priors[0], ~own, intraclass)
        for p, prior in enumerate(priors):
            new = step_of(weighed, observations.F, prior)
            found[p, f, own] = observations.predict(new)[own]
    return found


def _judged(
    observations: LinearisedObservations, predicted: np.ndarray
) -> HeldOutPredictions:
    """Compare predictions with what the first estimate says."""
    given = (observations.intensity, observations.calculated)
    return compare(*given, predicted, observations.unique)


def compare(
    y: np.ndarray, first: np.ndarray, second: np.ndarray, unique: np.ndarray
) -> HeldOutPredictions:
    """
    Compare two predictions of observations.

    Args:
        y: Shape (n,), observed intensities.
        first, second: Predicted ones; nan where there are none. Of several predictions,
            shape (number, n), residuals are averaged.
        unique: The reflection of each.
    """
    both = [np.atleast_2d(I) for I in (first, second)]
    known = np.all([np.isfinite(I).all(axis=0) for I in both], axis=0)
    f_o = amplitudes(y[known])
    off = [np.abs(f_o - np.sqrt(np.maximum(I[:, known], 0))).mean(axis=0) for I in both]
    total = float(f_o.sum())
    before, after = (float(x.sum()) / total if total > 0 else np.nan for x in off)
    return HeldOutPredictions(
        before=before,
        after=after,
        z=z_over_reflections(off[0] - off[1], unique[known]),
        n=int(known.sum()),
        n_reflections=len(np.unique(unique[known])),
    )


def z_over_reflections(better: np.ndarray, unique: np.ndarray) -> float:
    """
    Give by how many standard deviations a sum of gains differs from none.

    Args:
        better: Shape (n,), gain of each observation.
        unique: Shape (n,), its reflection: observations of one are not independent.
    """
    by_reflection = np.bincount(unique, better)
    spread = float(np.sqrt(np.sum(by_reflection**2)))
    return float(by_reflection.sum()) / spread if spread > 0 else 0.0
