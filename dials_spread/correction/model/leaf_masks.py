"""
Predictions of small trees without walking through them.

A walk waits for each comparison before it knows the next. Here a node says which leaves
cannot be reached where a row goes right, as the bits of one number, and all nodes of a tree
are compared for many rows at a time; the leftmost leaf that is left is where the walk
would have ended. Source: QuickScorer, Lucchese et al. (2015), SIGIR 38, 73; for many rows
at a time, Lucchese et al. (2016), SIGIR 39, 833.

Classes:
    LeafMasks: trees, made ready for it
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np

MOST_LEAVES = 32
"""Of a tree: its leaves are the bits of a number."""

ROWS = 512
"""That are compared at a time; their columns stay in the processor's cache."""

DE_BRUIJN = np.uint32(0x077CB531)
"""Times a power of two has another number for each in its first five bits."""

FIRST_BITS = np.uint32(27)


class LeafMasks(NamedTuple):
    """
    Trees of at most 32 leaves.

    Attributes:
        kept: Shape (nodes,), uint32: bits of leaves that a row may reach which goes right.
        values: Shape (trees, 32), what leaves add, each at the place of its bit.
        below: Shape (nodes,), float32: the largest numbers not above the thresholds, as
            which float32 values are compared alike.
    """

    kept: np.ndarray
    values: np.ndarray
    below: np.ndarray

    @classmethod
    def of(
        cls,
        start: np.ndarray,
        threshold: np.ndarray,
        left: np.ndarray,
        right: np.ndarray,
        value: np.ndarray,
    ) -> LeafMasks | None:
        """
        Make trees ready.

        Args:
            start, threshold, left, right, value: As of forest.Forest.

        Returns:
            None where a tree has too many leaves.
        """
        leaves = np.cumsum(np.append(0, left < 0))[start]
        if np.diff(leaves).max(initial=0) > MOST_LEAVES:
            return None
        kept = np.zeros(len(left), dtype=np.uint32)
        values = np.zeros((len(start) - 1, MOST_LEAVES))
        _find_masks(start, left, right, value, kept, values)
        with np.errstate(over="ignore"):  # to infinity, and back by one
            nearest = threshold.astype(np.float32)
        below = np.nextafter(nearest, np.float32(-np.inf))
        return cls(kept, values, np.where(nearest > threshold, below, nearest))


@nb.njit(cache=True, nogil=True)
def _find_masks(start, left, right, value, kept, values):
    """Number the leaves of each tree from the left; children come after their parents."""
    first, leaves = np.zeros(len(left), np.int64), np.zeros(len(left), np.int64)
    for tree in range(len(start) - 1):
        root = start[tree]
        for node in range(start[tree + 1] - 1, root - 1, -1):
            leaves[node] = 1
            if left[node] >= 0:
                leaves[node] = leaves[left[node]] + leaves[right[node]]
        first[root] = 0
        for node in range(root, start[tree + 1]):
            if left[node] < 0:
                bit = np.uint32(1) << np.uint32(first[node])
                values[tree, _place(bit)] = value[node]
                continue
            first[left[node]] = first[node]
            first[right[node]] = first[node] + leaves[left[node]]
            lost = np.uint32(0)
            for leaf in range(first[node], first[right[node]]):
                lost |= np.uint32(1) << np.uint32(leaf)
            kept[node] = np.uint32(~lost)


@nb.njit(cache=True, nogil=True)
def _place(bit):
    return np.uint32(bit * DE_BRUIJN) >> FIRST_BITS


@nb.njit(cache=True, nogil=True)
def _goes_right(reached, x, threshold, kept):
    """Take off leaves of rows whose values are above; missing ones go left."""
    for row in range(len(reached)):
        if x[row] > threshold:
            reached[row] &= kept


@nb.njit(cache=True, nogil=True)
def _goes_right_or_misses(reached, x, threshold, kept):
    """The same, but missing values go right."""
    for row in range(len(reached)):
        if not x[row] <= threshold:
            reached[row] &= kept


@nb.njit(cache=True, nogil=True)
def _add_leaves(reached, values, out):
    """Add the value of the lowest bit that is left."""
    for row in range(len(out)):
        lowest = np.uint32(reached[row] & np.uint32(-np.int32(reached[row])))
        out[row] += values[_place(lowest)]


@nb.njit(cache=True, nogil=True)
def add_trees(X, start, feature, threshold, left, missing_left, kept, values, out):
    """
    Add what each tree predicts, in their order: rounding as in scikit-learn.

    Args:
        X: Shape (n, features), C-contiguous.
        start, feature, left, missing_left: As of forest.Forest.
        threshold: Shape (nodes,), of the type of X: `below` for float32.
        kept, values: From LeafMasks.
        out: Shape (n,), to which is added.
    """
    columns = np.zeros((X.shape[1], ROWS), X.dtype)
    reached = np.empty(ROWS, np.uint32)
    for first in range(0, len(X), ROWS):
        n = min(ROWS, len(X) - first)
        for row in range(n):
            for column in range(X.shape[1]):
                columns[column, row] = X[first + row, column]
        for tree in range(len(start) - 1):
            reached[:] = np.uint32(0xFFFFFFFF)
            for node in range(start[tree], start[tree + 1]):
                if left[node] < 0:
                    continue
                x = columns[feature[node]]
                if missing_left[node]:
                    _goes_right(reached, x, threshold[node], kept[node])
                else:
                    _goes_right_or_misses(reached, x, threshold[node], kept[node])
            _add_leaves(reached, values[tree], out[first : first + n])
