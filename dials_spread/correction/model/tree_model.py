"""
Two models, one of observations and one of reflections.

Model 1 learns from what surrounds an observation by how much its amplitude is off, and
how widely it may be; the observations of a reflection are then averaged with the first
taken off and the second as weight. Model 2 learns from the average, and all else that
is known of the reflection, what is still missing to the kinematic amplitude. While
training, model 2 sees averages as it will meet them: from a model 1 that has not seen
the compound.

Any regressors with scikit-learn's fit and predict will do.

Functions:
    target_amplitudes: what is to be reached
    fit_two_models: from compounds with known amplitudes
    average, reflection_rows: what model 2 sees
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from dials_spread.correction.features.all_features import FeatureSet
from dials_spread.rfactor.r1 import best_scales
from dials_spread.statistics.groups import group_means, group_slopes, group_sums

if TYPE_CHECKING:  # models are applied without scikit-learn
    from dials_spread.correction.model.boosting import BoostedTrees

SMALLEST_DEVIATION = 0.02
"""Deviations of amplitudes below it are taken as this: the logarithm has no bottom."""

SLOPE_RIDGE = 0.02
"""Drawn to zero are slopes where biases vary by less than about its root."""

AVERAGE_COLUMNS = (
    "L_mb",
    "average_bias",
    "average_ln_scatter",
    "expected_error",
    "weighted_spread",
    "L_mb_less_E_k",
    "bias_slope",
    "compound_bias_slope",
)
"""Columns that model 2 sees beside the features of reflections."""


@dataclass(frozen=True)
class TwoModels:
    """
    Fitted models.

    Attributes:
        bias: Of observations: E_i less the true amplitude.
        scatter: Of observations: ln of what remains, without sign.
        correction: Of reflections: the true amplitude less L_mb.
    """

    bias: Any
    scatter: Any
    correction: Any


@dataclass(frozen=True)
class Averages:
    """
    Observations averaged with model 1.

    Attributes:
        table: Shape (u, 8), columns AVERAGE_COLUMNS.
        bias: Shape (n,), what model 1 takes off each amplitude.
        ln_scatter: Shape (n,).
    """

    table: np.ndarray
    bias: np.ndarray
    ln_scatter: np.ndarray

    @property
    def L_mb(self) -> np.ndarray:
        """Shape (u,), averages of E_i - b with weights exp(-2 ln scatter)."""
        return self.table[:, 0]


def default_regressor(
    loss: str, seed: int, min_samples_leaf: int = 100
) -> BoostedTrees:
    """
    Make an unfitted regressor with the settings that were tried.

    Args:
        loss: "squared_error" or "absolute_error".
        seed: Of its random numbers.
        min_samples_leaf: Fewest rows of a leaf.
    """
    from dials_spread.correction.model.boosting import BoostedTrees

    return BoostedTrees(
        loss=loss,
        max_iter=200,
        learning_rate=0.08,
        max_leaf_nodes=31,
        min_samples_leaf=min_samples_leaf,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    )


class NormalisedAmplitudes(Protocol):
    """Whatever has merged amplitudes E_k and expected intensities N, shape (u,) each."""

    @property
    def E_k(self) -> np.ndarray: ...

    @property
    def N(self) -> np.ndarray: ...


def target_amplitudes(merged: NormalisedAmplitudes, F: np.ndarray) -> np.ndarray:
    """
    Give y = k |F| / √N, the amplitude that a correction should reach.

    Args:
        merged: A compound: prepared data, or features made of them.
        F: Shape (u,), kinematic |F|; nan where it is not known.

    Returns:
        Shape (u,), with the k that minimises R1 of the merged amplitudes.

    Raises:
        ValueError: No known amplitude is positive.
    """
    amplitude = merged.E_k * np.sqrt(merged.N)
    known = np.isfinite(F) & (F > 0)
    group = np.zeros(int(known.sum()), dtype=int)
    scale = best_scales(amplitude[known], F[known], group, 1)[0]
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(
            f"Of {len(F)} amplitudes {known.sum()} are known and positive, and no "
            "scale relates them to the merged data"
        )
    return F / scale / np.sqrt(merged.N)


def fit_observation_models(
    sets: Sequence[FeatureSet],
    targets: Sequence[np.ndarray],
    make_regressor: Callable[[str, int], Any],
    rng: np.random.Generator,
) -> tuple[Any, Any]:
    """
    Fit model 1: bias, and the logarithm of the scatter about it.

    Args:
        sets: Compounds.
        targets: Kinematic amplitudes Fc of each, shape (u,); nan where not known.
        make_regressor: Gives an unfitted regressor from a loss and a seed.
        rng: Source of seeds.

    Returns:
        The fitted regressors of bias and of scatter.
    """
    deviation = [s.E_i - y[s.unique] for s, y in zip(sets, targets)]
    rows = np.concatenate([s.observation for s in sets])
    deviation = np.concatenate(deviation)
    known = np.isfinite(deviation)
    rows, deviation = rows[known], deviation[known]
    bias = make_regressor("squared_error", _seed(rng)).fit(rows, deviation)
    rest = np.abs(deviation - bias.predict(rows))
    scatter = make_regressor("squared_error", _seed(rng))
    return bias, scatter.fit(rows, np.log(np.maximum(rest, SMALLEST_DEVIATION)))


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def average(features: FeatureSet, bias: Any, scatter: Any) -> Averages:
    """
    Average the observations of each reflection with model 1.

    Args:
        features: A compound.
        bias, scatter: Fitted regressors.

    Returns:
        Averages ``L_mb = ⟨E_i - b⟩`` with weights exp(-2 ln scatter), and companions.
    """
    b = np.asarray(bias.predict(features.observation), dtype=float)
    ln_scatter = np.asarray(scatter.predict(features.observation), dtype=float)
    unique, n = features.unique, len(features.E_k)
    weight = np.exp(-2 * ln_scatter)
    L_mb = group_means(features.E_i - b, unique, n, weight)
    rest = features.E_i - b - L_mb[unique]
    table = [
        L_mb,
        group_means(b, unique, n, weight),
        group_means(ln_scatter, unique, n),
        1 / np.sqrt(group_sums(weight, unique, n)),
        np.sqrt(group_means(rest**2, unique, n, weight)),
        L_mb - features.E_k,
        group_slopes(b, features.E_i, unique, n, SLOPE_RIDGE),
        np.full(n, _common_slope(b, features.E_i, unique, n)),
    ]
    return Averages(np.stack(table, axis=1), b, ln_scatter)


def _common_slope(
    b: np.ndarray, E_i: np.ndarray, unique: np.ndarray, n_unique: int
) -> float:
    """
    Give the slope of amplitudes against their predicted bias within all reflections.

    It is 1 where the prediction is right, and says so without the kinematic amplitudes.
    """
    db = b - group_means(b, unique, n_unique)[unique]
    return float(np.sum(db * E_i) / max(np.sum(db**2), 1e-9))


def reflection_rows(features: FeatureSet, averages: Averages) -> np.ndarray:
    """Give what model 2 sees of each unique reflection, shape (u, 60), float32."""
    return np.hstack([features.reflection, averages.table.astype(np.float32)])


def halves(compound: Sequence, rng: np.random.Generator) -> np.ndarray:
    """
    Divide compounds into two halves at random.

    Args:
        compound: The compound of each set: several sets may be of one.
        rng: Source of the division.

    Returns:
        Shape (sets,), bool; sets of one compound are on one side.

    Raises:
        ValueError: Fewer than two compounds.
    """
    distinct, number = np.unique(np.asarray(compound), return_inverse=True)
    if len(distinct) < 2:
        raise ValueError(
            f"{len(distinct)} compound cannot be divided in two; model 2 must learn "
            "from averages of compounds that model 1 has not seen"
        )
    first = rng.permutation(len(distinct)) < len(distinct) // 2
    return first[np.ravel(number)]


def fit_two_models(
    sets: Sequence[FeatureSet],
    amplitudes: Sequence[np.ndarray],
    compound: Sequence,
    rng: np.random.Generator,
    make_regressor: Callable[[str, int], Any] = default_regressor,
) -> TwoModels:
    """
    Fit both models to compounds whose amplitudes are known.

    Args:
        sets: Features of data sets.
        amplitudes: Kinematic |F| of each, shape (u,); nan where not known.
        compound: The compound of each set.
        rng: Source of all random numbers.
        make_regressor: Gives an unfitted regressor from a loss and a seed.

    Returns:
        The models; model 1 of all compounds, model 2 of averages by models 1 of the
        other half.

    Raises:
        ValueError: Fewer than two compounds.
    """
    targets = [target_amplitudes(s, F) for s, F in zip(sets, amplitudes)]
    first = halves(compound, rng)
    rows, missing = [], []
    for half in (first, ~first):
        train, apply_to = np.flatnonzero(~half), np.flatnonzero(half)
        bias, scatter = fit_observation_models(
            [sets[i] for i in train], [targets[i] for i in train], make_regressor, rng
        )
        for i in apply_to:
            averages = average(sets[i], bias, scatter)
            rows.append(reflection_rows(sets[i], averages))
            missing.append(targets[i] - averages.L_mb)
    rows, missing = np.concatenate(rows), np.concatenate(missing)
    known = np.isfinite(missing)
    correction = make_regressor("absolute_error", _seed(rng))
    correction.fit(rows[known], missing[known])
    bias, scatter = fit_observation_models(sets, targets, make_regressor, rng)
    return TwoModels(bias, scatter, correction)
