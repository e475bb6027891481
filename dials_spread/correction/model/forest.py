"""
Boosted trees as plain arrays, independent of the library that grew them.

scikit-learn's models can only be kept by pickling them, which runs code from the file
when it is read and fits one release. Here a model is its nodes: which feature is
compared with which threshold, and where to go. Predictions are those of scikit-learn.

Functions:
    forest_of: from a fitted HistGradientBoostingRegressor
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba as nb
import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from dials_spread.threads import run_blocks

LEAF = -1
"""Instead of a child: there is none."""

BLOCK = 2048
"""Rows that go through all trees together; they stay in the processor's cache."""


@dataclass(frozen=True)
class Forest:
    """
    The trees of one regressor; arrays of all their nodes, tree after tree.

    Attributes:
        feature_names: Columns of the table that it predicts from.
        baseline: What the trees are added to.
        start: Shape (trees + 1,), int64, the first node of each tree.
        feature: Shape (nodes,), int32, the column that is compared; 0 in a leaf.
        threshold: Shape (nodes,); up to this value, and with it, the left child is next.
        left: Shape (nodes,), int32, counted through all trees; LEAF in a leaf.
        right: Shape (nodes,), int32.
        missing_left: Shape (nodes,), bool: the left child is next for a missing value.
        value: Shape (nodes,), what a leaf adds.
    """

    feature_names: tuple[str, ...]
    baseline: float
    start: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    missing_left: np.ndarray
    value: np.ndarray

    @property
    def n_trees(self) -> int:
        """Number of trees."""
        return len(self.start) - 1

    def predict(self, X: np.ndarray, nproc: int | None = None) -> np.ndarray:
        """
        Predict, as scikit-learn's regressors do.

        Args:
            X: Shape (n, features); nan where a value is missing.
            nproc: Threads; all cores by default.

        Returns:
            Shape (n,).

        Raises:
            ValueError: The table has another number of columns.
        """
        X = np.asarray(X)
        if X.ndim != 2 or X.shape[1] != len(self.feature_names):
            raise ValueError(
                f"A table of shape {X.shape} was given to a model of "
                f"{len(self.feature_names)} features"
            )
        if X.dtype not in (np.float32, np.float64):
            X = X.astype(np.float64)
        X = np.ascontiguousarray(X)
        out = np.full(len(X), self.baseline)
        nodes = (self.feature, self.threshold, self.left, self.right)

        def block(first: int, stop: int) -> None:
            _add_trees(
                X[first:stop],
                self.start,
                *nodes,
                self.missing_left,
                self.value,
                out[first:stop],
            )

        run_blocks(block, len(X), BLOCK, nproc)
        return out


@nb.njit(nogil=True, cache=True)
def _add_trees(X, start, feature, threshold, left, right, missing_left, value, out):
    """Add what each tree predicts, in their order: rounding as in scikit-learn."""
    for tree in range(len(start) - 1):
        for row in range(len(X)):
            node = start[tree]
            while left[node] >= 0:
                x = X[row, feature[node]]
                if np.isnan(x):
                    goes_left = missing_left[node]
                else:
                    goes_left = x <= threshold[node]
                node = left[node] if goes_left else right[node]
            out[row] += value[node]


def forest_of(
    model: HistGradientBoostingRegressor, feature_names: Sequence[str]
) -> Forest:
    """
    Take the trees out of a fitted regressor.

    Args:
        model: Fitted; without categorical features and with an identity link.
        feature_names: One for each column it was fitted to.

    Returns:
        The same regressor.

    Raises:
        ValueError: The model cannot be described by plain trees, or there are other
            numbers of names and features.
    """
    if len(feature_names) != model.n_features_in_:
        raise ValueError(
            f"{len(feature_names)} names for a model of {model.n_features_in_} features"
        )
    if model.loss not in ("squared_error", "absolute_error", "quantile"):
        raise ValueError(f"loss={model.loss} has a link that trees alone do not have")
    trees = [predictor.nodes for (predictor,) in model._predictors]
    nodes = np.concatenate(trees) if trees else _no_nodes()
    if nodes["is_categorical"].any():
        raise ValueError("Models with categorical features are not supported")
    start = np.cumsum([0, *map(len, trees)]).astype(np.int64)
    offset = np.repeat(start[:-1], np.diff(start))
    leaf = nodes["is_leaf"].astype(bool)
    return Forest(
        feature_names=tuple(feature_names),
        baseline=float(np.ravel(model._baseline_prediction)[0]),
        start=start,
        feature=np.where(leaf, 0, nodes["feature_idx"]).astype(np.int32),
        threshold=np.where(leaf, 0.0, nodes["num_threshold"]).astype(np.float64),
        left=np.where(leaf, LEAF, nodes["left"] + offset).astype(np.int32),
        right=np.where(leaf, LEAF, nodes["right"] + offset).astype(np.int32),
        missing_left=~leaf & nodes["missing_go_to_left"].astype(bool),
        value=np.where(leaf, nodes["value"], 0.0).astype(np.float64),
    )


def _no_nodes() -> np.ndarray:
    names = ("feature_idx", "left", "right", "missing_go_to_left", "is_leaf")
    kinds = [(name, np.int64) for name in (*names, "is_categorical")]
    return np.empty(0, dtype=[*kinds, ("num_threshold", float), ("value", float)])
