"""
One factor for each image, fitted to all blocks at once.

The same least squares as spread.sources.factors.fit_factors, by conjugate gradients. Each step
takes the factors of a block's images there, and brings back sums by reflection; then the
means of all reflections there, and back what they are on each image.

Functions:
    factors_of_blocks: of all images
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.sparse import csgraph

from dials_spread import cluster
from dials_spread.in_blocks.blocks import CrystalBlock
from dials_spread.in_blocks.frame import CommonFrame
from dials_spread.in_blocks.scales import CrystalScales
from dials_spread.in_blocks.size import Levels, SizeOfBlocks, on_scale
from dials_spread.spread.sources.factors import FEWEST, SMALLEST, solve_normal
from dials_spread.spread.variogram.pair_inputs import (
    relative_variances,
    unbiased_squares,
    weights_of_variances,
)
from dials_spread.stages import stage


class _Reflections(NamedTuple):
    """Of u reflections: which count, their weight, and what intensities are divided by."""

    used: np.ndarray
    weight: np.ndarray
    level: np.ndarray


def _reflections(size: SizeOfBlocks) -> _Reflections:
    """As pair_weights and square_levels of spread.variogram.pair_inputs."""
    levels: Levels = size.levels
    used = levels.used
    n, level = levels.size[used], levels.mean[used]
    variance = relative_variances(size.square[used], n, level)
    weight, divisor = np.zeros((2, len(used)))
    weight[used] = weights_of_variances(variance)
    divisor[used] = np.sqrt(unbiased_squares(level, variance, n))
    return _Reflections(used, weight, divisor)


def _of_images(
    shared: _Reflections, block: CrystalBlock, means: np.ndarray
) -> np.ndarray:
    """Sum weights times a value of each reflection on the images of a block."""
    rows = np.flatnonzero(shared.used[block.unique])
    unique = block.unique[rows]
    n = len(block.crystal)
    return np.bincount(block.image[rows], shared.weight[unique] * means[unique], n)


def _of_reflections(
    shared: _Reflections, block: CrystalBlock, beta: np.ndarray
) -> np.ndarray:
    """Sum weights times the factor of each image of a block by reflection."""
    rows = np.flatnonzero(shared.used[block.unique])
    unique = block.unique[rows]
    values = shared.weight[unique] * beta[block.image[rows]]
    return np.bincount(unique, values, len(shared.used))


class _Begin(NamedTuple):
    """Of a block's images: observations, sums of weights, target; components."""

    number: np.ndarray
    weight: np.ndarray
    target: np.ndarray
    component: np.ndarray
    of_reflections: np.ndarray


def _begin(shared: _Reflections, block: CrystalBlock, scale: np.ndarray) -> _Begin:
    rows = np.flatnonzero(shared.used[block.unique])
    unique, image, n = block.unique[rows], block.image[rows], len(block.crystal)
    y = on_scale(block, scale)[0][rows] / shared.level[unique]
    weight = shared.weight[unique]
    matrix = sp.csr_matrix(
        (np.ones(len(rows)), (image, unique)), shape=(n, len(shared.used))
    )
    graph = sp.bmat([[None, matrix], [matrix.T, None]], format="csr")
    _, label = csgraph.connected_components(graph, directed=False)
    return _Begin(
        np.bincount(image, minlength=n),
        np.bincount(image, weight, n),
        np.bincount(image, weight * y, n),
        label[:n],
        np.where(np.diff(matrix.tocsc().indptr) > 0, label[n:], -1),
    )


def _connected(begun: Sequence[_Begin]) -> np.ndarray:
    """Find the images of the largest set that common reflections connect."""
    rows, columns, offsets = [], [], [0]
    for one in begun:
        seen = np.flatnonzero(one.of_reflections >= 0)
        rows.append(one.of_reflections[seen] + offsets[-1])
        columns.append(seen)
        offsets.append(offsets[-1] + int(one.component.max(initial=-1)) + 1)
        offsets[-1] = max(offsets[-1], int(rows[-1].max(initial=-1)) + 1)
    shape = (offsets[-1], len(begun[0].of_reflections))
    row, column = np.concatenate(rows), np.concatenate(columns)
    matrix = sp.csr_matrix((np.ones(len(row)), (row, column)), shape=shape)
    graph = sp.bmat([[None, matrix], [matrix.T, None]], format="csr")
    _, label = csgraph.connected_components(graph, directed=False)
    of_image = np.concatenate(
        [label[one.component + first] for one, first in zip(begun, offsets)]
    )
    filled = np.concatenate([one.number for one in begun]) > 0
    return filled & (of_image == np.bincount(of_image[filled]).argmax())


@stage("Factors of images")
def factors_of_blocks(
    frame: CommonFrame, blocks: Sequence[Any], scales: CrystalScales, size: SizeOfBlocks
) -> np.ndarray:
    """
    Fit a factor to each image.

    Args:
        frame: What blocks have in common.
        blocks: Handles.
        scales: Of crystals.
        size: Of the spread.

    Returns:
        Shape (images,), what intensities can be divided by: 1 in the mean, and 1 where
        undetermined or too small.
    """
    shared = _reflections(size)
    begun = [
        *cluster.told(_begin, shared, [*zip(blocks, frame.of_block(scales.scale))])
    ]
    number, by_image, target = (
        np.concatenate([getattr(one, name) for one in begun])
        for name in ("number", "weight", "target")
    )
    by_unique = shared.weight * size.levels.size
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(shared.used, size.levels.mean / shared.level, 0.0)

    def on_images(means: np.ndarray) -> np.ndarray:
        tasks = [(block, means) for block in blocks]
        return np.concatenate([*cluster.told(_of_images, shared, tasks)])

    safe = np.where(by_image > 0, by_image, 1.0)

    def normal(beta: np.ndarray) -> np.ndarray:
        tasks = [*zip(blocks, frame.images_of_block(beta))]
        sums = sum(cluster.told(_of_reflections, shared, tasks))
        means = np.divide(sums, by_unique, out=np.zeros(len(sums)), where=shared.used)
        return safe * beta - on_images(means)

    beta = solve_normal(normal, target - on_images(mean), safe)
    known = _connected(begun) & (number >= FEWEST)
    factor = np.ones(len(safe))
    if known.any():
        found = 1 + beta - beta[known].mean()
        usable = known & (found > SMALLEST)
        factor[usable] = found[usable]
    return factor
