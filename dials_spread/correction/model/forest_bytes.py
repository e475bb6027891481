"""
The arrays of a forest as bytes, and bytes of a stranger as a forest.

For each forest in turn, each array whole, numbers little-endian::

    nodes of each tree        uint32 (trees)
    feature                   uint16 (nodes), 0 in a leaf
    number of the threshold   uint32 (nodes), 0 in a leaf
    left, right               uint32 (nodes), counted from the tree's root; 0 in a leaf
    missing values go left    uint8  (nodes)
    value                     float64 (nodes), 0 unless in a leaf
    thresholds                float64

Bytes of equal significance are put together, which compresses better.

Functions:
    check_sizes: before memory is taken
    forest_to_bytes, forest_from_bytes
    check_trees: that each tree is one
"""

from __future__ import annotations

import numpy as np

from dials_spread.correction.model.forest import LEAF, Forest

MAX_FEATURES = 1000
MAX_FORESTS = 100
MAX_TREES = 50_000
MAX_NODES = 5_000_000
MAX_THRESHOLDS = 1_000_000

MAX_DEPTH = 300
"""Levels of one tree: a chain of nodes as long as a forest would take for ever."""

MAX_STEPS = 500_000
"""Levels of all trees together, which is what one prediction may cost."""

LARGEST_VALUE = 1e9
"""Of a leaf; all trees together stay far from infinity."""

_EDGES = ("feature", "number", "left", "right", "missing_left")


def check_sizes(sizes: list[tuple[int, int, int]]) -> None:
    """
    Check how large forests are going to be.

    Args:
        sizes: Numbers of trees, nodes and thresholds of each forest.

    Raises:
        ValueError: They are out of range.
    """
    if not 0 < len(sizes) <= MAX_FORESTS:
        raise ValueError(f"{len(sizes)} forests are none, or too many")
    for trees, nodes, thresholds in sizes:
        if not (0 <= trees <= nodes and 0 <= thresholds <= nodes):
            raise ValueError(
                f"{trees} trees cannot have {nodes} nodes and {thresholds} thresholds"
            )
    for title, limit, some in zip(
        ("trees", "nodes", "thresholds"),
        (MAX_TREES, MAX_NODES, MAX_THRESHOLDS),
        zip(*sizes),
    ):
        if sum(some) > limit:
            raise ValueError(f"{sum(some)} {title} are too many")


def _layout(trees: int, nodes: int, thresholds: int) -> dict[str, tuple[str, int]]:
    """Give type and length of each array, in their order."""
    return {
        "size": ("<u4", trees),
        "feature": ("<u2", nodes),
        "number": ("<u4", nodes),
        "left": ("<u4", nodes),
        "right": ("<u4", nodes),
        "missing_left": ("<u1", nodes),
        "value": ("<f8", nodes),
        "thresholds": ("<f8", thresholds),
    }


def n_bytes(trees: int, nodes: int, thresholds: int) -> int:
    """Count the bytes of a forest."""
    layout = _layout(trees, nodes, thresholds).values()
    return sum(np.dtype(kind).itemsize * n for kind, n in layout)


def forest_to_bytes(forest: Forest) -> tuple[bytes, tuple[int, int, int]]:
    """
    Give the arrays of a forest as bytes.

    Args:
        forest: The forest.

    Returns:
        The bytes, and the numbers of trees, nodes and thresholds.
    """
    size = np.diff(forest.start)
    root = np.repeat(forest.start[:-1], size)
    leaf = forest.left == LEAF
    thresholds, number = np.unique(forest.threshold[~leaf], return_inverse=True)
    numbers = np.zeros(len(leaf), dtype=np.int64)
    numbers[~leaf] = np.ravel(number)
    arrays = {
        "size": size,
        "feature": forest.feature,
        "number": numbers,
        "left": np.where(leaf, 0, forest.left - root),
        "right": np.where(leaf, 0, forest.right - root),
        "missing_left": forest.missing_left,
        "value": forest.value,
        "thresholds": thresholds,
    }
    sizes = (len(size), len(leaf), len(thresholds))
    packed = b""
    for name, (kind, _) in _layout(*sizes).items():
        array = np.ascontiguousarray(arrays[name].astype(kind))
        width = array.dtype.itemsize
        packed += array.view(np.uint8).reshape(-1, width).T.tobytes()
    return packed, sizes


def forest_from_bytes(
    content: bytes,
    at: int,
    sizes: tuple[int, int, int],
    feature_names: tuple[str, ...],
    baseline: float,
) -> Forest:
    """
    Make a forest from bytes, believing nothing of them.

    Args:
        content: Of some forests.
        at: Where this one begins.
        sizes: Numbers of trees, nodes and thresholds, which fit the content.
        feature_names: Of its features.
        baseline: What the trees are added to.

    Returns:
        The forest.

    Raises:
        ValueError: A number is out of range, or the nodes are no trees.
    """
    arrays = {}
    for name, (kind, n) in _layout(*sizes).items():
        width = np.dtype(kind).itemsize
        part = np.frombuffer(content, np.uint8, n * width, at).reshape(width, n)
        arrays[name] = np.ascontiguousarray(part.T).view(kind).reshape(n)
        at += n * width
    size = arrays["size"].astype(np.int64)
    if (size < 1).any() or size.sum() != sizes[1]:
        raise ValueError("the trees have other numbers of nodes than are there")
    _check_values(arrays, len(feature_names), sizes[2])
    start = np.concatenate([[0], np.cumsum(size)])
    check_trees(
        arrays["left"].astype(np.int64), arrays["right"].astype(np.int64), start
    )
    leaf = arrays["left"] == 0
    root = np.repeat(start[:-1], size)
    threshold = np.zeros(sizes[1])
    threshold[~leaf] = arrays["thresholds"][arrays["number"][~leaf]]
    return Forest(
        feature_names=feature_names,
        baseline=baseline,
        start=start,
        feature=arrays["feature"].astype(np.int32),
        threshold=threshold,
        left=np.where(leaf, LEAF, root + arrays["left"]).astype(np.int32),
        right=np.where(leaf, LEAF, root + arrays["right"]).astype(np.int32),
        missing_left=arrays["missing_left"].astype(bool),
        value=arrays["value"].astype(np.float64),
    )


def _check_values(
    arrays: dict[str, np.ndarray], n_features: int, n_thresholds: int
) -> None:
    """Check all numbers but those of the children."""
    leaf = arrays["left"] == 0
    if not np.array_equal(leaf, arrays["right"] == 0):
        raise ValueError("a node has one child")
    if any(arrays[name][leaf].any() for name in _EDGES):
        raise ValueError("a leaf compares something")
    if (arrays["feature"] >= n_features).any():
        raise ValueError("a node compares a feature that does not exist")
    if (arrays["number"][~leaf] >= n_thresholds).any():
        raise ValueError("a node compares with a threshold that does not exist")
    if (arrays["missing_left"] > 1).any():
        raise ValueError("a node is undecided about missing values")
    value = arrays["value"]
    if not np.isfinite(value).all() or np.abs(value).max(initial=0) > LARGEST_VALUE:
        raise ValueError("the value of a leaf is no number in range")
    # Infinity separates missing values from all others.
    thresholds = arrays["thresholds"]
    if np.isnan(thresholds).any() or np.isneginf(thresholds).any():
        raise ValueError("a threshold is no number")


def check_trees(left: np.ndarray, right: np.ndarray, start: np.ndarray) -> None:
    """
    Check that nodes are trees, neither too deep nor with loops.

    Args:
        left: Shape (nodes,), int64, counted from the root of each tree; 0 in a leaf.
        right: Shape (nodes,), likewise.
        start: Shape (trees + 1,), the root of each tree.

    Raises:
        ValueError: A child lies outside its tree or before its parent, a node has no
            parent or two, or the trees are too deep.
    """
    size = np.diff(start)
    root, own = np.repeat(start[:-1], size), np.repeat(size, size)
    inner = np.flatnonzero(left)
    here = inner - root[inner]
    parents = np.zeros(len(left), dtype=np.int64)
    for child in (left[inner], right[inner]):
        if (child <= here).any() or (child >= own[inner]).any():
            raise ValueError("a child lies before its parent or outside its tree")
        np.add.at(parents, root[inner] + child, 1)
    parents[start[:-1]] += 1
    if (parents != 1).any():
        raise ValueError("a node has no parent, or more than one")
    level, steps = start[:-1], 0
    for _ in range(MAX_DEPTH):
        level = level[left[level] > 0]
        # No more trees go on than there are nodes in a level.
        steps += len(np.unique(root[level]))
        level = np.concatenate([root[level] + left[level], root[level] + right[level]])
        if not len(level):
            break
    else:
        raise ValueError(f"a tree has more than {MAX_DEPTH} levels")
    if steps > MAX_STEPS:
        raise ValueError(f"a prediction would take {steps} steps")
