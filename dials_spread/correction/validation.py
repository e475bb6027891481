"""
What a model that is trained on these data is worth, tested on what it has not seen.

The model predicts by how much each observation's normalised amplitude is off; its
observations, less that, are averaged. Two splits stand side by side: crystals that the
model has not seen, and unique reflections that it has not seen. The first flatters
always: other crystals of a compound have the same |F|. A split by compound needs other
compounds' data: train on these, and apply the model file to those.

Functions:
    validate: both splits, and what they must be better than
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial

import numpy as np

from dials_spread.correction.learning import (
    LearningData,
    fit_rows,
    merge_rows,
    new_regressor,
)
from dials_spread.ml.controls import fit_law, resolution_table, shuffled_targets
from dials_spread.ml.estimator import CorrectionRegressor
from dials_spread.ml.splits import Fold, predict_unseen, split_by, split_by_ranges
from dials_spread.rfactor import amplitudes, r_factor

N_FOLDS = 3

CONTROL_TREES = 100
"""Trees of the controls' models, which have little to learn."""


@dataclass(frozen=True)
class Score:
    """
    R1 of merged amplitudes by one method under one split.

    Attributes:
        split: "crystal" or "reflection".
        method: "model", or a control: "none"; "amplitudes", the mean of signed amplitudes
            instead of intensities, without learning; "resolution", "shuffled", "law".
        r1: Against the reference.
        n: Reflections compared.
        gain: R1 of no correction less this one.
        gain_su: Its standard uncertainty over reflections.
    """

    split: str
    method: str
    r1: float
    n: int
    gain: float
    gain_su: float

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return asdict(self)


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
    """

    scores: list[Score]
    reasons: dict[str, str]
    folds: dict[str, int]
    bias: np.ndarray
    crystal_bias: np.ndarray | None
    seen: np.ndarray = field(repr=False)

    def score(self, split: str, method: str = "model") -> Score | None:
        """Find a score; None where the split was not run."""
        own = [s for s in self.scores if (s.split, s.method) == (split, method)]
        return own[0] if own else None

    @property
    def improves(self) -> bool:
        """
        Whether R1 of unseen reflections fell by two standard uncertainties.

        And further than by averaging amplitudes instead of intensities, which the model
        does as well, and which takes no learning.
        """
        score, untaught = (
            self.score("reflection"),
            self.score("reflection", "amplitudes"),
        )
        if score is None or untaught is None:
            return False
        return score.gain > 2 * score.gain_su and score.r1 < untaught.r1

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return {
            "scores": [s.as_dict() for s in self.scores],
            "not_run": self.reasons,
            "folds": self.folds,
            "improves_unseen_reflections": self.improves,
        }


def _unseen(
    table: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray,
    folds: list[Fold],
    make: Callable[[], CorrectionRegressor],
) -> np.ndarray:
    """Predict every row by a model that has not seen its group."""

    def fit(rows: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        model = fit_rows(table, y, rows, groups, make())
        return lambda test: model.predict(table[test])

    return predict_unseen(fit, folds)


def _score(
    data: LearningData, split: str, method: str, F: np.ndarray, plain: np.ndarray
) -> Score:
    """Compare amplitudes with the truth, and with no correction."""
    f_c = np.where(np.isfinite(F) & np.isfinite(plain), data.f_calc, np.nan)
    r1, scale, n = r_factor(F, f_c)
    before, plain_scale, _ = r_factor(plain, f_c)
    kept = np.isfinite(f_c)
    saved = np.abs(plain_scale * plain - f_c) - np.abs(scale * F - f_c)
    su = np.std(saved[kept]) * np.sqrt(n) / np.sum(f_c[kept]) if n else np.nan
    return Score(split, method, r1, n, before - r1, float(su))


def _scores_of_split(
    data: LearningData,
    split: str,
    groups: np.ndarray,
    folds: list[Fold],
    rng: np.random.Generator,
) -> tuple[list[Score], np.ndarray]:
    """Run the model and all controls under one split."""
    prepared, measured = data.prepared, data.prepared.measured
    root_N, seed = np.sqrt(prepared.N), int(rng.integers(2**31))
    tested = np.any([fold.test for fold in folds], axis=0)
    plain = amplitudes(merge_rows(data, np.where(tested, prepared.intensity, np.nan)))

    def corrected(table: np.ndarray, deviation: np.ndarray, **settings):
        bias = _unseen(
            *(table, deviation, groups, folds), lambda: new_regressor(seed, **settings)
        )
        return bias, np.maximum(merge_rows(data, prepared.E_i - bias), 0) * root_N

    bias, F = corrected(data.table, data.deviation)
    d = 1 / np.sqrt(measured.d_star_sq)
    alone = _unseen(
        resolution_table(d, measured.unique),
        data.target[measured.unique],
        groups,
        folds,
        lambda: new_regressor(seed, bound=None, shrink=False, max_iter=CONTROL_TREES),
    )
    shuffled = shuffled_targets(data.target, d, rng)[measured.unique]
    _, F_shuffled = corrected(
        data.table, prepared.E_i - shuffled, max_iter=CONTROL_TREES
    )
    law = fit_law(plain, data.f_calc)
    untouched = np.where(tested, prepared.E_i, np.nan)
    found = {
        "model": F,
        "none": plain,
        "amplitudes": np.maximum(merge_rows(data, untouched), 0) * root_N,
        "resolution": np.maximum(merge_rows(data, alone), 0) * root_N,
        "shuffled": F_shuffled,
    }
    scores = [_score(data, split, name, x, plain) for name, x in found.items()]
    before = scores[1].r1
    scores.append(Score(split, "law", law.r1, law.n, before - law.r1, float("nan")))
    return scores, bias


def validate(
    data: LearningData,
    rng: np.random.Generator,
    train: str | None = None,
    test: str | None = None,
) -> Validation:
    """
    Test a model on crystals and on unique reflections that it has not seen.

    Args:
        data: What is to be learnt.
        rng: Source of random numbers.
        train: Range of crystals to train on, such as "0:100"; folds by default.
        test: Range of crystals to test on.

    Raises:
        ValueError: The ranges make no sense.
    """
    measured = data.prepared.measured
    seen = np.zeros(measured.n_crystals, dtype=bool)
    reasons = {"compound": "these are data of one compound; see model="}
    groups = {"crystal": measured.crystal, "reflection": measured.unique}
    folds: dict[str, list[Fold]] = {}
    if train and test:
        fold = split_by_ranges(measured.crystal, measured.n_crystals, train, test)
        folds["crystal"] = [fold]
        seen[np.unique(measured.crystal[fold.train])] = True
    for split, labels in groups.items():
        try:
            if split not in folds:
                folds[split] = split_by(split, labels, N_FOLDS, rng)
        except ValueError as error:
            reasons[split] = str(error)
    scores, bias = [], {}
    for split, some in folds.items():
        # A single crystal in a fold cannot be halved; its reflections can.
        enough = all(len(np.unique(groups[split][f.train])) > 1 for f in some)
        inner = groups[split] if enough else measured.unique
        own, bias[split] = _scores_of_split(data, split, inner, some, rng)
        scores += own
    numbers = {split: len(some) for split, some in folds.items()}
    crystal_bias = bias.get("crystal")
    if seen.any():
        everything = np.ones(len(measured), dtype=bool)
        whole = [Fold(folds["crystal"][0].train, everything)]
        make = partial(new_regressor, int(rng.integers(2**31)))
        crystal_bias = _unseen(data.table, data.deviation, measured.unique, whole, make)
    return Validation(scores, reasons, numbers, bias["reflection"], crystal_bias, seen)
