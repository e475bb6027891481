"""
Boosted trees as plain arrays, independent of the library that grew them.

scikit-learn's models can only be kept by pickling them, which runs code from the file
when it is read and fits one release. Here a model is its nodes: which feature is
compared with which threshold, and where to go. Predictions are those of scikit-learn.

Functions:
    predict_in_one_thread: where several do so at a time
    forest_of: from a fitted HistGradientBoostingRegressor
    check_forest: that arrays, as read from untrusted input, are trees of sound numbers
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numba as nb
import numpy as np

from dials_spread import cluster
from dials_spread.correction.model.leaf_masks import LeafMasks, add_trees
from dials_spread.threads import run_blocks

if TYPE_CHECKING:  # predicting needs no scikit-learn
    from sklearn.ensemble import HistGradientBoostingRegressor

LEAF = -1
"""Instead of a child: there is none."""

BLOCK = 2048
"""Rows that go through all trees together; they stay in the processor's cache."""

TASK = 64 * 4096
"""Rows that a worker of a cluster takes at once."""

MAX_DEPTH = 300
"""Levels of one tree: a chain of nodes as long as a forest would take for ever."""

LARGEST_VALUE = 1e9
"""Of a leaf; all trees together stay far from infinity."""


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

    @cached_property
    def _masks(self) -> LeafMasks | None:
        """For trees of few leaves, as nearly all are; None where there are others."""
        return LeafMasks.of(
            self.start, self.threshold, self.left, self.right, self.value
        )

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
        if cluster.in_use() and len(X) > TASK:
            tasks = [X[k : k + TASK] for k in range(0, len(X), TASK)]
            return np.concatenate(cluster.map_on_workers(_predict_there, self, tasks))
        out = np.full(len(X), self.baseline)

        masks = self._masks
        threshold = self.threshold
        if masks is not None and X.dtype == np.float32:
            threshold = masks.below

        def block(first: int, stop: int) -> None:
            some, found = X[first:stop], out[first:stop]
            nodes = self.start, self.feature, threshold, self.left
            if masks is not None:
                own = self.missing_left, masks.kept, masks.values
                add_trees(some, *nodes, *own, found)
            else:
                others = self.right, self.missing_left, self.value
                _add_trees(some, *nodes, *others, found)

        run_blocks(block, len(X), BLOCK, nproc)
        return out


def predict_in_one_thread(regressor: Any, X: np.ndarray) -> np.ndarray:
    """
    Predict, where several threads or workers do so for other rows.

    Args:
        regressor: A Forest, or one of scikit-learn's.
        X: Shape (n, features).
    """
    if isinstance(regressor, Forest):
        return regressor.predict(X, 1)
    return np.asarray(regressor.predict(X), dtype=float)


def _predict_there(forest: Forest, X: np.ndarray) -> np.ndarray:
    """On a worker, in its one thread."""
    return forest.predict(X, 1)


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


def check_forest(forest: Forest) -> int:
    """
    Check a forest that may be untrusted input; its arrays are of the declared types.

    Args:
        forest: The forest.

    Returns:
        Levels below the roots of all trees together: what a prediction costs.

    Raises:
        ValueError: A number is out of range, or the nodes are no trees.
    """
    start, nodes = forest.start, len(forest.left)
    node_arrays = (forest.feature, forest.threshold, forest.right)
    if any(len(a) != nodes for a in (*node_arrays, forest.missing_left, forest.value)):
        raise ValueError("the arrays of a forest have different lengths")
    if not len(start) or start[0] != 0 or start[-1] != nodes:
        raise ValueError("the trees have other numbers of nodes than are there")
    if (start[1:] <= start[:-1]).any():
        raise ValueError("a tree has no nodes")
    _check_values(forest)
    return check_trees(forest.left, forest.right, start)


def _check_values(forest: Forest) -> None:
    """Check all numbers but those of the children."""
    leaf = forest.left == LEAF
    if not np.array_equal(leaf, forest.right == LEAF):
        raise ValueError("a node has one child")
    compared = (forest.feature, forest.threshold, forest.missing_left)
    if any(array[leaf].any() for array in compared):
        raise ValueError("a leaf compares something")
    n = len(forest.feature_names)
    if (forest.feature < 0).any() or (forest.feature >= n).any():
        raise ValueError("a node compares a feature that does not exist")
    if (forest.missing_left.view(np.uint8) > 1).any():
        raise ValueError("a node is undecided about missing values")
    value = np.abs(forest.value)
    if not np.isfinite(value).all() or value.max(initial=0) > LARGEST_VALUE:
        raise ValueError("the value of a leaf is no number in range")
    # Infinity separates missing values from all others.
    if np.isnan(forest.threshold).any() or np.isneginf(forest.threshold).any():
        raise ValueError("a threshold is no number")


def check_trees(left: np.ndarray, right: np.ndarray, start: np.ndarray) -> int:
    """
    Check that nodes are trees, neither too deep nor with loops.

    Args:
        left, right: Shape (nodes,), children, counted through all trees; LEAF in a leaf.
        start: Shape (trees + 1,), the root of each tree.

    Returns:
        Levels below the root of all trees together: what a prediction costs.

    Raises:
        ValueError: A child lies outside its tree or before its parent, a node has no
            parent or two, or a tree is too deep.
    """
    left, right = left.astype(np.int64), right.astype(np.int64)
    end = np.repeat(start[1:], np.diff(start))
    inner = np.flatnonzero(left != LEAF)
    parents = np.zeros(len(left), dtype=np.int64)
    for child in (left[inner], right[inner]):
        if (child <= inner).any() or (child >= end[inner]).any():
            raise ValueError("a child lies before its parent or outside its tree")
        np.add.at(parents, child, 1)
    parents[start[:-1]] += 1
    if (parents != 1).any():
        raise ValueError("a node has no parent, or more than one")
    level, steps = start[:-1], 0
    for _ in range(MAX_DEPTH):
        level = level[left[level] != LEAF]
        # No more trees go on than there are nodes in a level.
        steps += len(np.unique(np.searchsorted(start, level, side="right")))
        level = np.concatenate([left[level], right[level]])
        if not len(level):
            return steps
    raise ValueError(f"a tree has more than {MAX_DEPTH} levels")
