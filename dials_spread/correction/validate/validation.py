"""
What a model that is trained on these data is worth, tested on what it has not seen.

The model predicts by how much each observation's normalised amplitude is off; its
observations, less that, are averaged. Three splits stand side by side: crystals, unique
reflections and compounds that the model has not seen. The first flatters always: other
crystals of a compound have the same |F|.

Functions:
    validate: all splits, and what they must be better than
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from dials_spread.correction.apply.error_law import Coverage
from dials_spread.correction.validate.controls import resolution_table, shuffled_targets
from dials_spread.correction.validate.learning import (
    LearningData,
    fit_rows,
    merge_rows,
    new_regressor,
)
from dials_spread.correction.validate.scores import (
    Score,
    law_amplitudes,
    plain_amplitudes,
    score,
)
from dials_spread.correction.validate.splits import (
    SPLITS,
    Fold,
    predict_unseen,
    split_by,
    split_by_ranges,
)
from dials_spread.correction.validate.unseen_errors import UnseenErrors, unseen_errors

if TYPE_CHECKING:  # scikit-learn is imported when a model is trained
    from dials_spread.correction.model.estimator import CorrectionRegressor

N_FOLDS = 3

MOST_COMPOUND_FOLDS = 6
"""Compounds are left out one by one up to so many, then several at a time."""

CONTROL_TREES = 100
"""Trees of the controls' models, which have little to learn."""

ONE_COMPOUND = (
    "these are data of one compound; give data of several with a reference= for each, or "
    "apply the model to another one by model="
)


@dataclass(frozen=True)
class Validation:
    """
    All splits and controls.

    Attributes:
        scores: The table.
        reasons: Why a split was not run, by split.
        folds: How many folds each split had.
        bias: Shape (n,), predicted for each observation by a model that has not seen
            its reflection.
        crystal_bias: Shape (n,), by a model that has not seen its crystal, or, where
            these are named, by one of the crystals that train.crystals names; None where
            that split was not run.
        seen: Shape (crystals,), bool: crystals that train.crystals names.
        errors: How far corrected amplitudes are off, and what was predicted of that, of
            reflections and of compounds that had not been seen.
    """

    scores: list[Score]
    reasons: dict[str, str]
    folds: dict[str, int]
    bias: np.ndarray
    crystal_bias: np.ndarray | None
    seen: np.ndarray = field(repr=False)
    errors: dict[str, UnseenErrors] = field(repr=False)

    def score(self, split: str, method: str = "model") -> Score | None:
        """Find a score; None where the split was not run."""
        own = [s for s in self.scores if (s.split, s.method) == (split, method)]
        return own[0] if own else None

    def known(self, split: str, method: str = "model") -> Score:
        """Find a score; ValueError where the split was not run."""
        score = self.score(split, method)
        if score is None:
            raise ValueError(f"The data were not split by {split}.")
        return score

    def improves(self, split: str) -> bool:
        """
        Say whether R1 of what was unseen fell by two standard uncertainties.

        And further than by averaging amplitudes instead of intensities, which the model
        does as well, and which takes no learning.
        """
        score, untaught = self.score(split), self.score(split, "amplitudes")
        if score is None or untaught is None:
            return False
        return score.gain > 2 * score.gain_su and score.r1 < untaught.r1

    @property
    def coverage(self) -> dict[str, Coverage | None]:
        """Whether predicted errors are as large as the true ones, by split."""
        return {split: errors.coverage for split, errors in self.errors.items()}

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        ran = [split for split in SPLITS if split in self.folds]
        return {
            "scores": [s.as_dict() for s in self.scores],
            "not_run": self.reasons,
            "folds": self.folds,
            "improves_unseen_reflections": self.improves("reflection"),
            "improves_unseen_compounds": (
                self.improves("compound") if "compound" in ran else None
            ),
            "predicted_errors": {
                k: c and c.as_dict() for k, c in self.coverage.items()
            },
        }


def _unseen(
    table: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray,
    folds: list[Fold],
    make: Callable[[], CorrectionRegressor],
    progress: str | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Predict every row by a model that has not seen its group; and the spread."""

    def fit(rows: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        model = fit_rows(table, y, rows, groups, make())
        return lambda test: np.stack(model.predict(table[test], return_std=True), 1)

    return tuple(predict_unseen(fit, folds, progress).T)


def _scores_of_split(
    data: LearningData,
    split: str,
    groups: np.ndarray,
    folds: list[Fold],
    rng: np.random.Generator,
) -> tuple[list[Score], np.ndarray, np.ndarray]:
    """Run the model and all controls under one split; give bias and spread too."""
    seed = int(rng.integers(2**31))
    tested = np.any([fold.test for fold in folds], axis=0)

    def unseen(what: str, table: np.ndarray, y: np.ndarray, **settings):
        make = partial(new_regressor, seed, **settings)
        told = f"Held-out {split}s, {what}"
        return _unseen(table, y, groups, folds, make, told)

    def less(bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give amplitudes, and intensities of single observations."""
        left = np.where(tested, data.E_i - bias, np.nan)
        F = np.maximum(merge_rows(data, left), 0) * data.root_N
        return F, np.sign(left) * (left * data.root_N[data.unique]) ** 2

    bias, spread = unseen("model", data.table, data.deviation)
    few = {"max_iter": CONTROL_TREES}
    alone, _ = unseen(
        "resolution alone",
        resolution_table(data.d_spacing, data.unique),
        data.target[data.unique],
        **{**few, "bound": None, "shrink": False},
    )
    shuffled = shuffled_targets(data.target, data.d_spacing, rng)[data.unique]
    wrong, _ = unseen("shuffled targets", data.table, data.E_i - shuffled, **few)
    plain = plain_amplitudes(data, tested)
    found = {
        "model": less(bias),
        "none": (plain, data.intensity),
        "amplitudes": (less(np.zeros(len(bias)))[0], data.intensity),
        "resolution": (np.maximum(merge_rows(data, alone), 0) * data.root_N, None),
        "shuffled": less(wrong),
        "law": (law_amplitudes(data, plain), None),
    }
    scores = [
        score(data, split, method, F, tested, single)
        for method, (F, single) in found.items()
    ]
    return scores, bias, spread


def _all_folds(
    data: LearningData, rng: np.random.Generator, train: str | None, test: str | None
) -> tuple[dict[str, list[Fold]], dict[str, str]]:
    """Give the folds of each split, and why there are none."""
    n_compounds = len(data.compounds)
    groups = _groups(data)
    wanted = {"compound": min(n_compounds, MOST_COMPOUND_FOLDS)}
    folds: dict[str, list[Fold]] = {}
    reasons: dict[str, str] = {}
    for split in SPLITS:
        if split == "compound" and n_compounds == 1:
            reasons[split] = ONE_COMPOUND
        elif split == "crystal" and train and test:
            fold = split_by_ranges(data.crystal, data.n_crystals, train, test)
            folds[split] = [fold]
        else:
            n_folds = wanted.get(split, N_FOLDS)
            try:
                folds[split] = split_by(split, groups[split], n_folds, rng)
            except ValueError as error:
                reasons[split] = str(error)
    return folds, reasons


def _groups(data: LearningData) -> dict[str, np.ndarray]:
    """Give what is left out together, by split."""
    kinds = (data.crystal, data.unique, data.compound)
    return dict(zip(SPLITS, kinds))


def validate(
    data: LearningData,
    rng: np.random.Generator,
    train: str | None = None,
    test: str | None = None,
) -> Validation:
    """
    Test a model on crystals, reflections and compounds that it has not seen.

    Args:
        data: What is to be learnt.
        rng: Source of random numbers.
        train: Range of crystals to train on, such as "0:100"; folds by default.
        test: Range of crystals to test on.

    Raises:
        ValueError: The ranges make no sense.
    """
    folds, reasons = _all_folds(data, rng, train, test)
    groups, scores, bias, errors = _groups(data), [], {}, {}
    for split, some in folds.items():
        # A single crystal in a fold cannot be halved; its reflections can.
        enough = all(len(np.unique(groups[split][f.train])) > 1 for f in some)
        inner = groups[split] if enough else data.unique
        own, bias[split], spread = _scores_of_split(data, split, inner, some, rng)
        scores += own
        if split != "crystal":
            errors[split] = unseen_errors(data, split, bias[split], spread, rng)
    crystal_bias, seen = bias.get("crystal"), np.zeros(data.n_crystals, dtype=bool)
    if train and test:
        rows = folds["crystal"][0].train
        seen[np.unique(data.crystal[rows])] = True
        whole = [Fold(rows, np.ones(len(rows), dtype=bool))]
        make = partial(new_regressor, int(rng.integers(2**31)))
        crystal_bias, _ = _unseen(data.table, data.deviation, data.unique, whole, make)
    return Validation(
        scores=scores,
        reasons=reasons,
        folds={split: len(some) for split, some in folds.items()},
        bias=bias["reflection"],
        crystal_bias=crystal_bias,
        seen=seen,
        errors=errors,
    )
