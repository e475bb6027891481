"""
Corrected amplitudes from a trained network, with numpy alone.

Functions:
    predict: of one network
    predict_mean: of several, averaged
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Callable

import numpy as np
from scipy.sparse import csr_matrix

from dials_spread.correction.features.all_features import FeatureSet
from dials_spread.correction.model.network.inputs import observation_rows
from dials_spread.correction.model.network.shapes import HEADS, Network
from dials_spread.threads import one_blas_thread
from dials_spread.versions import available_cores

BLOCK = 8192
"""Observations at a time: their layers stay near the processor."""

AT_A_TIME = 64
"""Blocks that are given to threads together."""

STEEPEST = 6.0
"""Logarithms of weights lie between plus and minus this."""


@dataclass(frozen=True)
class Predicted:
    """
    What networks say of unique reflections.

    Attributes:
        E: Shape (u,), corrected normalised amplitudes, not negative.
        error: Shape (u,), expected absolute error of E.
    """

    E: np.ndarray
    error: np.ndarray


def silu(x: np.ndarray) -> np.ndarray:
    """Give x / (1 + e^-x)."""
    found = np.negative(x)
    with np.errstate(over="ignore"):  # where it is 0 to all digits
        np.exp(found, out=found)
    found += 1
    return np.divide(x, found, out=found)


class _Layers:
    """The layers of a network as functions."""

    def __init__(self, network: Network) -> None:
        self.arrays = network.arrays

    def __call__(self, name: str, x: np.ndarray) -> np.ndarray:
        found = x @ self.arrays[f"{name}.weight"].T
        found += self.arrays[f"{name}.bias"]
        return found


class _Groups:
    """Sums over the reflection, the crystal or all observations, block by block."""

    def __init__(self, group: np.ndarray, n_groups: int) -> None:
        self.group, self.n_groups = group, n_groups
        self.count = np.maximum(np.bincount(group, minlength=n_groups), 1)[:, None]

    def part(self, rows: np.ndarray, block: slice) -> np.ndarray:
        """Add up the rows of one block."""
        group = self.group[block]
        place = (group, np.arange(len(group)))
        ones = np.ones(len(group), dtype=np.float32)
        shape = (self.n_groups, len(group))
        return csr_matrix((ones, place), shape=shape) @ rows


def _blocks(n: int) -> list[slice]:
    return [slice(first, min(first + BLOCK, n)) for first in range(0, n, BLOCK)]


class _OneNetwork:
    """
    What a network makes of a compound, in two rounds over blocks of observations.

    Several networks take the same block, so that what they see of all observations is
    never held, and made comparable where it is used.
    """

    def __init__(
        self, network: Network, features: FeatureSet, groups: tuple[_Groups, _Groups]
    ) -> None:
        self.layer, self.features = _Layers(network), features
        self.squash = network.observation_squash
        self.of_unique, self.of_crystal = groups
        layer = self.layer
        self.reflection = network.reflection_squash(features.reflection)
        self.of_reflection = silu(
            layer("reflect.1", silu(layer("reflect.0", self.reflection)))
        )
        self.to_observe = layer("observe_reflection", self.of_reflection)

    def _first(self, rows: np.ndarray, block: slice) -> np.ndarray:
        x = self.layer("observe", self.squash(rows))
        x += self.to_observe[self.of_unique.group[block]]
        return silu(self.layer("mix", silu(x)))

    def look(self, rows: np.ndarray, block: slice) -> list[np.ndarray]:
        """Give the sums of some observations by reflection and crystal, first round."""
        h = self._first(rows, block)
        return [self.of_unique.part(h, block), self.of_crystal.part(h, block)]

    def turn(self, sums: list[np.ndarray]) -> None:
        """Say what all observations have in common, after the first round."""
        layer, n = self.layer, len(self.of_unique.group)
        self.mean = sums[0] / self.of_unique.count
        self.whole = silu(layer("whole", sums[1].sum(axis=0, keepdims=True) / n))
        context = silu(layer("crystal", sums[1] / self.of_crystal.count))
        self.back = (
            layer("again_reflection", self.mean) + layer("again_whole", self.whole),
            layer("again_crystal", context),
        )

    def weigh(self, rows: np.ndarray, block: slice) -> list[np.ndarray]:
        """Give the sums of what some observations say, in the second round."""
        h = self.layer("again", self._first(rows, block))
        h += self.back[0][self.of_unique.group[block]]
        h += self.back[1][self.of_crystal.group[block]]
        out = self.layer("give", silu(h))
        weight = np.exp(STEEPEST * np.tanh(out[:, :HEADS] / STEEPEST))
        value = self.features.E_i[block, None] - out[:, HEADS : 2 * HEADS]
        given = np.hstack([weight, weight * value, out[:, 2 * HEADS :]])
        return [self.of_unique.part(given, block)]

    def predicted(self, total: np.ndarray) -> Predicted:
        """Mix what was given."""
        whole = self.whole
        heads = total[:, HEADS : 2 * HEADS] / total[:, :HEADS]
        known = [
            self.reflection,
            self.of_reflection,
            heads,
            heads - self.features.E_k[:, None],
            total[:, 2 * HEADS :] / self.of_unique.count,
            self.mean,
            np.broadcast_to(whole, (len(self.mean), whole.shape[1])),
        ]
        return _judge(self.layer, np.hstack(known), heads)


def _judge(layer: _Layers, known: np.ndarray, heads: np.ndarray) -> Predicted:
    """Mix the heads, add what is missing, and say how far it may be wrong."""
    out = layer("judge.2", silu(layer("judge.1", silu(layer("judge.0", known)))))
    mix = np.exp(out[:, :HEADS] - out[:, :HEADS].max(axis=1, keepdims=True))
    E = np.sum(mix * heads, axis=1) / mix.sum(axis=1) + out[:, HEADS]
    error = np.exp(np.clip(out[:, HEADS + 1], -STEEPEST, STEEPEST))
    return Predicted(np.maximum(E, 0).astype(float), error.astype(float))


def predict(network: Network, features: FeatureSet) -> Predicted:
    """
    Correct a compound with one network.

    Args:
        network: Trained on other compounds.
        features: Of this one.
    """
    return predict_mean([network], features)


def predict_mean(
    networks: Sequence[Network], features: FeatureSet, nproc: int | None = None
) -> Predicted:
    """
    Correct a compound with the mean of several networks.

    Args:
        networks: Trained on other compounds.
        features: Of this one.
        nproc: Threads; all cores by default.
    """
    crystal = np.unique(features.crystal, return_inverse=True)[1].ravel()
    groups = (
        _Groups(features.unique, len(features.E_k)),
        _Groups(crystal, int(crystal.max(initial=0)) + 1),
    )
    running = [_OneNetwork(n, features, groups) for n in networks]
    with one_blas_thread(), ThreadPoolExecutor(nproc or available_cores()) as pool:
        looked = _sums(pool, features, running, _OneNetwork.look)
        for one, sums in zip(running, looked):
            one.turn(sums)
        weighed = _sums(pool, features, running, _OneNetwork.weigh)
    found = [one.predicted(total) for one, (total,) in zip(running, weighed)]
    return Predicted(
        np.mean([f.E for f in found], axis=0), np.mean([f.error for f in found], axis=0)
    )


def _sums(
    pool: ThreadPoolExecutor,
    features: FeatureSet,
    running: Sequence[_OneNetwork],
    step: Callable,
) -> list[list[np.ndarray]]:
    """Give what a step of each network sums over all observations."""
    blocks = _blocks(len(features.unique))

    def of(block: slice) -> list[list[np.ndarray]]:
        rows = observation_rows(features, block)
        return [step(one, rows, block) for one in running]

    found: list[list[np.ndarray]] = []
    # In the order of blocks, so that rounding is the same whatever ends first; a few at a
    # time, as each holds sums of all reflections.
    for first in range(0, len(blocks), AT_A_TIME):
        for parts in pool.map(of, blocks[first : first + AT_A_TIME]):
            found = [list(map(np.add, *both)) for both in zip(found, parts)] or parts
    return found
