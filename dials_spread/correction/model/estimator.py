"""
A regressor that says how sure it is, and does nothing where it is not.

An ensemble of boosted trees, each fitted to a half of the groups (crystals, unique
reflections or compounds); halves come in complementary pairs, so that every group is
unseen by half of the members. What these say of it is what the ensemble says of new
data. From that follows, without any further data, how far the ensemble is to be
believed: a prediction m whose members differ by s becomes

    w(s) m,   w(s) = strength / (1 + (s / width)²),

with strength ≤ 1 and width chosen so that the squared error of unseen groups is least.
A target that cannot be predicted gets the strength 0, and nothing is corrected.
Predictions are bounded.

Sampling halves in complementary pairs: Shah & Samworth (2013), J. R. Stat. Soc. B 75, 55.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    check_is_fitted,
    check_X_y,
)

from dials_spread import stages
from dials_spread.correction.model.boosting import BoostedTrees
from dials_spread.correction.model.forest import Forest, forest_of
from dials_spread.correction.model.shrinkage import (
    complementary_halves,
    ensemble,
    fit_shrinkage,
    shrunk_mean,
)
from dials_spread.versions import available_cores

# scikit-learn 1.6 gave the parameter another name.
_PARAMETERS = inspect.signature(check_array).parameters
_FINITE = "ensure_all_finite" if "ensure_all_finite" in _PARAMETERS else None
MAY_MISS = {
    _FINITE or "force_all_finite": "allow-nan",
    "dtype": [np.float64, np.float32],
}
"""How tables are checked: missing values may be in them, infinite ones not."""


class CorrectionRegressor(RegressorMixin, BaseEstimator):
    """
    Predict corrections whose natural value is zero.

    Args:
        bound: No prediction is larger; in the unit of the target. None for no bound.
        n_pairs: Complementary pairs of members.
        loss: "absolute_error" or "squared_error".
        max_iter: Trees of each member.
        learning_rate: Part of each tree's prediction that is used.
        max_leaf_nodes: Leaves of a tree, at most.
        min_samples_leaf: Rows of a leaf, at least.
        l2_regularization: Of the leaves' values.
        shrink: Whether predictions are shrunk; otherwise the strength is 1.
        random_state: Seed.
        n_jobs: Members fitted at a time; what keeps all cores busy by default.

    Attributes:
        members_: The fitted regressors.
        strength_, width_: Of w(s).
        residual_: Median absolute error of unseen groups, after shrinkage.
        n_groups_: Groups that the strength rests on.
        n_features_in_: Columns of the table.
        n_iter_: Trees of a member.
    """

    def __init__(
        self,
        bound: float | None = None,
        n_pairs: int = 2,
        loss: str = "absolute_error",
        max_iter: int = 200,
        learning_rate: float = 0.08,
        max_leaf_nodes: int = 31,
        min_samples_leaf: int = 100,
        l2_regularization: float = 1.0,
        shrink: bool = True,
        random_state: int | None = None,
        n_jobs: int | None = None,
    ):
        self.bound = bound
        self.n_pairs = n_pairs
        self.loss = loss
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.max_leaf_nodes = max_leaf_nodes
        self.min_samples_leaf = min_samples_leaf
        self.l2_regularization = l2_regularization
        self.shrink = shrink
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        groups: np.ndarray | None = None,
        sample_weight: np.ndarray | None = None,
    ) -> CorrectionRegressor:
        """
        Fit the ensemble, and find how far it is to be believed.

        Args:
            X: Shape (n, features); nan where a value is missing.
            y: Shape (n,), corrections; zero is none.
            groups: Shape (n,), labels; rows of a group are never divided between what a
                member sees and what it does not. Each row is a group by default.
            sample_weight: Shape (n,).

        Returns:
            self

        Raises:
            ValueError: The table is of no use, or there is one group only.
        """
        X, y = check_X_y(X, y, **MAY_MISS)
        self.n_features_in_ = X.shape[1]
        labels = np.arange(len(y)) if groups is None else np.asarray(groups)
        number, n_groups = _numbered(labels, len(y))
        rng = check_random_state(self.random_state)
        halves = complementary_halves(n_groups, self.n_pairs, rng)
        seen = halves[:, number]
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
            # Equal weights are none; medians of leaves would differ by rounding.
            weight = None if np.ptp(weight) == 0 else weight
        seeds = rng.randint(np.iinfo(np.int32).max, size=len(seen))

        def member(kept: np.ndarray, seed: int) -> BoostedTrees:
            own = None if weight is None else weight[kept]
            return self._new_member(seed, len(y)).fit(X[kept], y[kept], own)

        # Each fit keeps to one thread, see BoostedTrees.
        with ThreadPoolExecutor(self.n_jobs or available_cores()) as pool:
            fits = pool.map(member, seen, seeds.tolist())
            self.members_ = [*stages.counted(fits, len(seen))]
        self.n_groups_ = n_groups
        self.n_iter_ = max(m.n_iter_ for m in self.members_)
        told = np.stack([m.predict(X) for m in self.members_])
        self._calibrate(told, ~seen, y, weight)
        return self

    def _new_member(self, seed: int, n: int) -> BoostedTrees:
        return BoostedTrees(
            loss=self.loss,
            max_iter=self.max_iter,
            learning_rate=self.learning_rate,
            max_leaf_nodes=self.max_leaf_nodes,
            # A table with few rows still gets trees that divide it.
            min_samples_leaf=max(1, min(self.min_samples_leaf, n // 20)),
            l2_regularization=self.l2_regularization,
            early_stopping=False,
            random_state=seed,
        )

    def _calibrate(
        self,
        told: np.ndarray,
        unseen: np.ndarray,
        y: np.ndarray,
        weight: np.ndarray | None,
    ) -> None:
        """Choose strength and width from what members say of groups unseen by them."""
        n = unseen.sum(axis=0)
        mean = np.where(unseen, told, 0.0).sum(axis=0) / n
        square = np.where(unseen, (told - mean) ** 2, 0.0).sum(axis=0)
        spread = np.sqrt(square / np.maximum(n - 1, 1))
        self.strength_, self.width_ = 1.0, np.inf
        if self.shrink:
            self.strength_, self.width_ = fit_shrinkage(mean, spread, y, weight)
        shrunk = shrunk_mean(mean, spread, self.strength_, self.width_, self.bound)
        self.residual_ = float(np.median(np.abs(y - shrunk)))

    def predict(self, X: np.ndarray, return_std: bool = False):
        """
        Predict corrections.

        Args:
            X: Shape (n, features).
            return_std: Give the spread of the members too.

        Returns:
            Shape (n,); with return_std also the standard deviation, shape (n,).
        """
        check_is_fitted(self, "members_")
        X = check_array(X, **MAY_MISS)
        if X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {X.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input"
            )
        names = [str(k) for k in range(self.n_features_in_)]
        forests = [forest_of(member, names) for member in self.members_]
        mean, spread = ensemble(forests, X)
        m = shrunk_mean(mean, spread, self.strength_, self.width_, self.bound)
        return (m, spread) if return_std else m

    def forests(self, feature_names: Sequence[str]) -> dict[str, Forest]:
        """Give the members for a model file, by name."""
        check_is_fitted(self, "members_")
        return {
            f"member_{k}": forest_of(member, feature_names)
            for k, member in enumerate(self.members_)
        }

    def settings(self) -> dict[str, float]:
        """Give the numbers that a model file needs beside the forests."""
        check_is_fitted(self, "members_")
        settings = {"strength": self.strength_, "residual": self.residual_}
        if np.isfinite(self.width_):
            settings["width"] = self.width_
        if self.bound is not None:
            settings["bound"] = float(self.bound)
        return settings

    def _more_tags(self) -> dict:
        why = "which halves rows fall into depends on how many there are"
        return {
            "allow_nan": True,
            "_xfail_checks": {"check_sample_weights_invariance": why},
        }

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()  # scikit-learn 1.6 and later
        tags.input_tags.allow_nan = True
        return tags


def _numbered(labels: np.ndarray, n: int) -> tuple[np.ndarray, int]:
    """Number the groups."""
    if labels.shape != (n,):
        raise ValueError(f"groups of shape {labels.shape} for {n} rows")
    names, number = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise ValueError(
            f"n_samples=1: {n} rows in {len(names)} group cannot be divided into "
            "what is seen and what is not; at least 2 groups are needed"
        )
    return np.ravel(number), len(names)
