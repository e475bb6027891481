"""
What models do for random compounds that they have not seen.

Functions:
    folds: divide by compound
    assess: R1 of a set before and after
    summary: ratios of R1, geometric means with their uncertainty over compounds
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dials_spread.correction.model.general import Corrected, GeneralModel
from dials_spread.correction.model.tree_model import target_amplitudes
from dials_spread.general_model.gather import VirtualExperiment
from dials_spread.rfactor.r1 import r_factor

METHODS = ("median", "weights", "model")

MARGIN = 1.005
"""A set is called worse where R1 after is more than this times R1 before."""


@dataclass(frozen=True)
class Outcome:
    """
    R1 of one set.

    Attributes:
        compound, stratum, grade: Of the set.
        multiplicity: Observations for each unique reflection.
        before: R1 of the plain merge.
        after: R1 by each of METHODS.
    """

    compound: int
    stratum: int
    grade: str
    multiplicity: float
    before: float
    after: dict[str, float]

    def ratio(self, method: str) -> float:
        """R1 after over R1 before."""
        return self.after[method] / self.before


@dataclass(frozen=True)
class Assessed:
    """
    A set that a model of other compounds has corrected.

    Attributes:
        outcome: R1 before and after.
        corrected: What the model gave.
        target: Shape (u,), true normalised amplitudes.
        root_N: Shape (u,), |F| = E √N.
    """

    outcome: Outcome
    corrected: Corrected
    target: np.ndarray
    root_N: np.ndarray


def folds(compounds: Sequence[int], n_folds: int, seed: int) -> np.ndarray:
    """
    Divide sets into folds, all of one compound in the same.

    Args:
        compounds: Of each set, shape (n,).
        n_folds: Number of folds.
        seed: Of the division.

    Returns:
        Shape (n,), the fold of each set.

    Raises:
        ValueError: Fewer compounds than folds.
    """
    distinct, number = np.unique(np.asarray(compounds), return_inverse=True)
    if len(distinct) < n_folds:
        raise ValueError(f"{len(distinct)} compounds cannot make {n_folds} folds")
    order = np.random.default_rng(seed).permutation(len(distinct))
    return (order % n_folds)[np.ravel(number)]


def assess(one: VirtualExperiment, model: GeneralModel) -> Assessed:
    """
    Compare a set with its kinematic amplitudes, before and after.

    Args:
        one: The set.
        model: Fitted to other compounds.
    """
    features = one.features
    root_N = np.sqrt(features.N)
    corrected = model.correct(features)
    after = {"median": one.median, "weights": one.simple, "model": corrected.E}
    outcome = Outcome(
        compound=one.compound,
        stratum=one.stratum,
        grade=one.grade,
        multiplicity=one.multiplicity,
        before=r_factor(features.E_k * root_N, one.F)[0],
        after={method: r_factor(E * root_N, one.F)[0] for method, E in after.items()},
    )
    target = target_amplitudes(features, one.F)
    return Assessed(outcome, corrected, target, root_N)


def summary(outcomes: Sequence[Outcome], method: str = "model") -> dict:
    """
    Sum up ratios of R1.

    Args:
        outcomes: Of some sets.
        method: One of METHODS.

    Returns:
        Geometric mean of the ratios, its standard error over compounds, the part of
        sets that got worse, the worst ratio, and how many sets and compounds there are.
    """
    ln = np.log([o.ratio(method) for o in outcomes])
    compounds = np.array([o.compound for o in outcomes])
    each = [ln[compounds == c].mean() for c in np.unique(compounds)]
    error = None
    if len(each) > 1:
        spread = np.std(each, ddof=1) / np.sqrt(len(each))
        error = float(np.exp(ln.mean()) * spread)
    return {
        "ratio": float(np.exp(ln.mean())),
        "standard_error": error,
        "worse": float(np.mean(ln > np.log(MARGIN))),
        "worst": float(np.exp(ln.max())),
        "sets": len(ln),
        "compounds": len(each),
    }
