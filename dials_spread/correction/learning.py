"""
What a model can learn from data with a reference.

Functions:
    learning_data: the table of features, and what is to be learnt
    new_regressor, fit_rows: a model of it
    merge_rows: from observations to unique reflections
    train_model: a model file's content, from all data
    feature_importance: what the model rests on
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dials_spread.correction.estimates import feature_table
from dials_spread.ml.card import Card, TrainingSet
from dials_spread.ml.estimator import CorrectionRegressor
from dials_spread.ml.grouping import group_means
from dials_spread.ml.merging import Prepared
from dials_spread.ml.published import PUBLISHED
from dials_spread.ml.registry import COMPOUND, CRYSTAL, MODEL_1, OBSERVATION
from dials_spread.ml.store import Model
from dials_spread.ml.two_models import target_amplitudes
from dials_spread.rfactor import r_factor

BOUND = 1.5
"""Largest correction of a normalised amplitude."""

MOST_PERMUTED = 50_000
"""Observations, about, that the importance of features rests on."""


@dataclass(frozen=True)
class LearningData:
    """
    Observations with what is to be learnt of them.

    Attributes:
        prepared: The data.
        table: Shape (n, features).
        columns: Names of the features.
        f_calc: Shape (u,), amplitudes taken for the truth; nan where there are none.
        target: Shape (u,), the same as normalised amplitudes.
    """

    prepared: Prepared
    table: np.ndarray
    columns: tuple[str, ...]
    f_calc: np.ndarray
    target: np.ndarray

    @property
    def deviation(self) -> np.ndarray:
        """Shape (n,), observed less true normalised amplitude."""
        return self.prepared.E_i - self.target[self.prepared.measured.unique]


def learning_data(
    prepared: Prepared, f_calc: np.ndarray, features: str, nproc: int | None = None
) -> LearningData:
    """
    Put together what a model learns from.

    Args:
        prepared: The data.
        f_calc: Shape (u,), amplitudes taken for the truth.
        features: "physical" or "published".
        nproc: Threads; all cores by default.

    Raises:
        ValueError: No amplitude is known.
    """
    table, columns = feature_table(prepared, features, nproc)
    target = target_amplitudes(prepared, f_calc)
    return LearningData(prepared, table, columns, f_calc, target)


def new_regressor(seed: int, **settings) -> CorrectionRegressor:
    """Make an unfitted model of the deviation of observations."""
    chosen = {"bound": BOUND, "loss": "squared_error", "n_pairs": 1, **settings}
    return CorrectionRegressor(random_state=seed, **chosen)


def fit_rows(
    table: np.ndarray,
    y: np.ndarray,
    rows: np.ndarray,
    groups: np.ndarray,
    regressor: CorrectionRegressor,
) -> CorrectionRegressor:
    """
    Fit to the rows that have something to be learnt.

    Args:
        table: Shape (n, features).
        y: Shape (n,), nan where not known.
        rows: Shape (n,), bool.
        groups: Shape (n,), what members see together.
        regressor: Not fitted.
    """
    kept = rows & np.isfinite(y)
    return regressor.fit(table[kept], y[kept], groups=groups[kept])


def merge_rows(data: LearningData, values: np.ndarray) -> np.ndarray:
    """
    Average over the observations that have a value, shape (u,); nan for none.

    Args:
        data: With n observations.
        values: Shape (n,), nan where a fold tests nothing.
    """
    measured = data.prepared.measured
    kept = np.isfinite(values)
    n = np.bincount(measured.unique[kept], minlength=measured.n_unique)
    mean = group_means(values[kept], measured.unique[kept], measured.n_unique)
    return np.where(n > 0, mean, np.nan)


def train_model(
    data: LearningData, name: str, validation: dict, rows: np.ndarray, seed: int
) -> Model:
    """
    Fit a model to data, for a model file.

    Args:
        data: What is to be learnt.
        name: Of the compound or the file.
        validation: Figures for the card.
        rows: Shape (n,), bool: observations to learn from.
        seed: Of the fit.

    Returns:
        The model, with its card.
    """
    measured = data.prepared.measured
    # Halves of unique reflections: how far the model is to be believed is found on
    # reflections that its members have not seen.
    groups = measured.unique
    regressor = fit_rows(
        data.table, data.deviation, rows, groups, new_regressor(seed, n_pairs=2)
    )
    features = PUBLISHED if len(data.columns) == len(PUBLISHED) else MODEL_1
    card = Card(
        name=f"trained on {name}"[:200],
        description=(
            "Deviation of normalised amplitudes of observations, trained on one compound; "
            "of use for other compounds only as far as tested on them."
        ),
        features=tuple(f.as_dict() for f in features),
        training=(
            TrainingSet(
                name=name[:200],
                crystals=len(np.unique(measured.crystal[rows])),
                observations=int(rows.sum()),
                unique=len(np.unique(measured.unique[rows])),
            ),
        ),
        validation=validation,
    )
    return Model(card, regressor.forests(data.columns), regressor.settings())


def feature_importance(
    data: LearningData, rng: np.random.Generator
) -> list[dict[str, object]]:
    """
    Say by how much R1 of unseen reflections rises where a feature is permuted.

    Args:
        data: What is to be learnt.
        rng: Source of random numbers.

    Returns:
        By feature and by group of features, the largest first: "feature", "r1_rise",
        "reflections".
    """
    measured = data.prepared.measured
    fold = rng.random(measured.n_unique) < 1 / 3
    test = fold[measured.unique]
    model = fit_rows(
        *(data.table, data.deviation, ~test, measured.unique),
        new_regressor(int(rng.integers(2**31)), max_iter=100),
    )
    reflections = rng.permutation(np.flatnonzero(fold))
    wanted = max(1, int(len(reflections) * min(1, MOST_PERMUTED / max(test.sum(), 1))))
    rows = np.flatnonzero(np.isin(measured.unique, reflections[:wanted]))
    table = data.table[rows]

    def r1(X: np.ndarray) -> float:
        left = np.full(len(data.table), np.nan)
        left[rows] = data.prepared.E_i[rows] - model.predict(X)
        E = np.maximum(merge_rows(data, left), 0)
        return r_factor(E * np.sqrt(data.prepared.N), data.f_calc)[0]

    before, order, found = r1(table), rng.permutation(len(rows)), []
    for name, columns in _groups_of_columns(data.columns):
        permuted = table.copy()
        permuted[:, columns] = table[order][:, columns]
        rise = r1(permuted) - before
        found.append({"feature": name, "r1_rise": rise, "reflections": wanted})
    return sorted(found, key=lambda one: -one["r1_rise"])


def _groups_of_columns(columns: tuple[str, ...]) -> list[tuple[str, list[int]]]:
    """Name single columns, and groups of them that are permuted together."""
    single = [(name, [k]) for k, name in enumerate(columns)]
    if len(columns) == len(PUBLISHED):
        return single
    groups, first = [], 0
    for name, some in (
        ("all of the observation", OBSERVATION),
        ("all of the crystal", CRYSTAL),
        ("all of the compound", COMPOUND),
    ):
        groups.append((name, list(range(first, first + len(some)))))
        first += len(some)
    coupled = ("coupling", "strongest_path", "excited")
    paths = [k for k, name in enumerate(columns) if name.startswith(coupled)]
    return [*groups, ("all couplings", paths), *single]
