"""
What a model rests on, feature by feature and by groups of features.

Two answers. Permutation: by how much R1 of reflections that the model had not seen rises
where the values of a feature are dealt out at random among observations; it tells what is
useful. SHAP values: how much of a prediction each feature accounts for, so that they add
up to the prediction less its mean; they tell what the model does, right or wrong.

SHAP values: Lundberg & Lee (2017), Adv. Neural Inf. Process. Syst. 30, 4765; of trees:
Lundberg et al. (2020), Nat. Mach. Intell. 2, 56. The package shap is optional.

Functions:
    feature_importance: both
    feature_groups: which features are taken together
    shap_values: of the trees of one ensemble
    by_shap: single features, the largest mean |SHAP| first
    check_shap: before anything is computed
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from dials_spread import stages
from dials_spread.correction.features.published import PUBLISHED_GROUPS
from dials_spread.correction.features.registry import (
    COMPOUND,
    CRYSTAL,
    OBSERVATION,
    names,
)
from dials_spread.correction.validate.learning import (
    LearningData,
    fit_rows,
    mean_r1,
    merge_rows,
    new_regressor,
)

if TYPE_CHECKING:  # scikit-learn is imported when a model is trained
    from dials_spread.correction.model.estimator import CorrectionRegressor

MOST_PERMUTED = 50_000
"""Observations, about, that the importance of features rests on."""

MOST_EXPLAINED = 2_000
"""Observations whose predictions are explained by SHAP values."""

COUPLED = ("coupling", "strongest_path", "excited", "signed")
"""Beginnings of the names of features that tell of multiple scattering."""


@dataclass(frozen=True)
class Importance:
    """
    What a model rests on in one feature, or in a group of them.

    Attributes:
        feature: Its name.
        group: Whether it is a group.
        r1_rise: Of R1, where it is permuted.
        reflections: Unseen unique reflections that this rests on.
        shap: Mean absolute SHAP value, in normalised amplitudes; of a group that of the
            sum over its features. None where it was not asked for.
        explained: Observations that this rests on.
    """

    feature: str
    group: bool
    r1_rise: float
    reflections: int
    shap: float | None = None
    explained: int = 0

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return asdict(self)


def feature_groups(columns: Sequence[str]) -> dict[str, list[int]]:
    """
    Say which features are taken together.

    Args:
        columns: Names of all features.

    Returns:
        Places of the features, by the name of the group.
    """
    groups = {
        "all of the observation": names(OBSERVATION),
        "all of the crystal": names(CRYSTAL),
        "all of the compound": names(COMPOUND),
        "all couplings": [c for c in columns if c.startswith(COUPLED)],
        **PUBLISHED_GROUPS,
    }
    places = {name: k for k, name in enumerate(columns)}
    return {
        group: [places[name] for name in some]
        for group, some in groups.items()
        if some and all(name in places for name in some)
    }


def by_shap(importance: Sequence[Importance]) -> list[tuple[float, Importance]]:
    """Sort single features by mean |SHAP|, the largest first; those that have none go."""
    single = [(o.shap, o) for o in importance if not o.group and o.shap is not None]
    return sorted(single, key=lambda one: -one[0])


def check_shap() -> None:
    """
    See whether SHAP values can be computed.

    Raises:
        ValueError: The package is not installed.
    """
    try:
        import shap  # noqa: F401  # optional, and slow to import
    except ImportError as error:
        raise ValueError(
            "shap=True needs the package shap, which is not installed "
            f"({error}): pip install shap, or conda install -c conda-forge shap"
        ) from None


def shap_values(
    model: CorrectionRegressor, X: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """
    Give the SHAP values of an ensemble, before it is shrunk and bounded.

    Args:
        model: Fitted; its members are scikit-learn's boosted trees.
        X: Shape (n, features).

    Returns:
        Values of shape (n, features), and what they start from, shape (n,): both
        together are the mean of what the members predict.
    """
    import shap  # optional

    total, start = np.zeros(X.shape), np.zeros(len(X))
    for member in model.members_:
        explainer = shap.TreeExplainer(member)
        # The sum is checked by a test; the package's own check wants float64 input.
        total += explainer.shap_values(X, check_additivity=False)
        start += np.ravel(explainer.expected_value)[0]
    return total / len(model.members_), start / len(model.members_)


def feature_importance(
    data: LearningData, rng: np.random.Generator, with_shap: bool = False
) -> list[Importance]:
    """
    Find what a model rests on, on reflections that it has not seen.

    Args:
        data: What is to be learnt.
        rng: Source of random numbers.
        with_shap: Compute SHAP values too.

    Returns:
        Groups, then features; of each the largest rise of R1 first.
    """
    fold = rng.random(data.n_unique) < 1 / 3
    test = fold[data.unique]
    model = fit_rows(
        data.table,
        data.deviation,
        ~test,
        data.unique,
        new_regressor(int(rng.integers(2**31)), max_iter=100),
    )
    reflections = rng.permutation(np.flatnonzero(fold))
    wanted = max(1, int(len(reflections) * min(1, MOST_PERMUTED / max(test.sum(), 1))))
    rows = np.flatnonzero(np.isin(data.unique, reflections[:wanted]))
    columns = {name: [k] for k, name in enumerate(data.columns)}
    groups = feature_groups(data.columns)
    rises = _permuted(data, model, rows, {**groups, **columns}, rng)
    shares, explained = {}, 0
    if with_shap:
        some = np.sort(rng.permutation(rows)[:MOST_EXPLAINED])
        values, _ = shap_values(model, data.table[some])
        explained = len(some)
        shares = {
            name: float(np.mean(np.abs(values[:, places].sum(axis=1))))
            for name, places in {**groups, **columns}.items()
        }
    found = [
        Importance(name, name in groups, rise, wanted, shares.get(name), explained)
        for name, rise in rises.items()
    ]
    return sorted(found, key=lambda one: (not one.group, -one.r1_rise))


def _permuted(
    data: LearningData,
    model: CorrectionRegressor,
    rows: np.ndarray,
    places: dict[str, list[int]],
    rng: np.random.Generator,
) -> dict[str, float]:
    """Give the rise of R1 where some columns are permuted, by name."""
    table, order = data.table[rows], rng.permutation(len(rows))

    def r1(X: np.ndarray) -> float:
        left = np.full(len(data.table), np.nan)
        left[rows] = data.E_i[rows] - model.predict(X)
        return mean_r1(data, np.maximum(merge_rows(data, left), 0) * data.root_N)

    before, rises = r1(table), {}
    columns_of = stages.counted(places.items(), len(places), "Features permuted")
    for name, columns in columns_of:
        permuted = table.copy()
        permuted[:, columns] = table[order][:, columns]
        rises[name] = r1(permuted) - before
    return rises
