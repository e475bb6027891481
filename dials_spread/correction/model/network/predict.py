"""
Corrected amplitudes from a trained network, with numpy alone.

Functions:
    predict: of one network
    predict_mean: of several, averaged
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from dials_spread.correction.features.all_features import FeatureSet
from dials_spread.correction.model.network.inputs import observation_rows
from dials_spread.correction.model.network.shapes import HEADS, Network
from dials_spread.versions import available_cores

BLOCK = 8192
"""Observations at a time: their layers stay near the processor."""

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

    def sums(self, rows: Callable[[slice], np.ndarray]) -> np.ndarray:
        """Add up the rows of each group."""
        total = np.zeros((), dtype=np.float32)
        for block in _blocks(len(self.group)):
            total = total + self.part(rows(block), block)
        return total

    def part(self, rows: np.ndarray, block: slice) -> np.ndarray:
        """Add up the rows of one block."""
        group = self.group[block]
        place = (group, np.arange(len(group)))
        ones = np.ones(len(group), dtype=np.float32)
        shape = (self.n_groups, len(group))
        return csr_matrix((ones, place), shape=shape) @ rows


def _blocks(n: int) -> list[slice]:
    return [slice(first, min(first + BLOCK, n)) for first in range(0, n, BLOCK)]


def squashed_rows(network: Network, features: FeatureSet) -> np.ndarray:
    """
    Give the inputs of observations, made comparable, shape (n, inputs).

    Args:
        network: That they are for.
        features: Of a compound.
    """
    rows = np.asarray(observation_rows(features), dtype=np.float32)
    for block in _blocks(len(rows)):
        rows[block] = network.observation_squash(rows[block])
    return rows


def predict(
    network: Network, features: FeatureSet, rows: np.ndarray | None = None
) -> Predicted:
    """
    Correct a compound with one network.

    Args:
        network: Trained on other compounds.
        features: Of this one.
        rows: From squashed_rows, where other networks have the same.
    """
    rows = squashed_rows(network, features) if rows is None else rows
    layer = _Layers(network)
    reflection = network.reflection_squash(features.reflection)
    of_reflection = silu(layer("reflect.1", silu(layer("reflect.0", reflection))))
    to_observe = layer("observe_reflection", of_reflection)
    unique = features.unique

    def first(block: slice) -> np.ndarray:
        x = layer("observe", rows[block])
        x += to_observe[unique[block]]
        return silu(layer("mix", silu(x)))

    of_unique = _Groups(unique, len(features.E_k))
    crystal = np.unique(features.crystal, return_inverse=True)[1].ravel()
    of_crystal = _Groups(crystal, int(crystal.max(initial=0)) + 1)
    sum_unique = sum_crystal = np.zeros((), dtype=np.float32)
    for block in _blocks(len(rows)):
        h = first(block)
        sum_unique = sum_unique + of_unique.part(h, block)
        sum_crystal = sum_crystal + of_crystal.part(h, block)
    mean = sum_unique / of_unique.count
    whole = silu(layer("whole", sum_crystal.sum(axis=0, keepdims=True) / len(rows)))
    context = silu(layer("crystal", sum_crystal / of_crystal.count))
    back = (
        layer("again_reflection", mean) + layer("again_whole", whole),
        layer("again_crystal", context),
    )

    def given(block: slice) -> np.ndarray:
        h = layer("again", first(block))
        h += back[0][unique[block]]
        h += back[1][crystal[block]]
        out = layer("give", silu(h))
        weight = np.exp(STEEPEST * np.tanh(out[:, :HEADS] / STEEPEST))
        value = features.E_i[block, None] - out[:, HEADS : 2 * HEADS]
        return np.hstack([weight, weight * value, out[:, 2 * HEADS :]])

    total = of_unique.sums(given)
    heads = total[:, HEADS : 2 * HEADS] / total[:, :HEADS]
    known = [
        reflection,
        of_reflection,
        heads,
        heads - features.E_k[:, None],
        total[:, 2 * HEADS :] / of_unique.count,
        mean,
        np.broadcast_to(whole, (len(mean), whole.shape[1])),
    ]
    return _judge(layer, np.hstack(known), heads)


def _judge(layer: _Layers, known: np.ndarray, heads: np.ndarray) -> Predicted:
    """Mix the heads, add what is missing, and say how far it may be wrong."""
    out = layer("judge.2", silu(layer("judge.1", silu(layer("judge.0", known)))))
    mix = np.exp(out[:, :HEADS] - out[:, :HEADS].max(axis=1, keepdims=True))
    E = np.sum(mix * heads, axis=1) / mix.sum(axis=1) + out[:, HEADS]
    error = np.exp(np.clip(out[:, HEADS + 1], -STEEPEST, STEEPEST))
    return Predicted(np.maximum(E, 0).astype(float), error.astype(float))


def predict_mean(networks: Sequence[Network], features: FeatureSet) -> Predicted:
    """
    Correct a compound with the mean of several networks.

    Args:
        networks: Trained on other compounds.
        features: Of this one.
    """
    first = networks[0]
    alike = all(
        np.array_equal(n.arrays[name], first.arrays[name])
        for n in networks
        for name in ("observation.centre", "observation.width")
    )
    rows = squashed_rows(first, features) if alike else None
    # numpy lets go of the interpreter while it computes.
    with ThreadPoolExecutor(min(len(networks), available_cores())) as pool:
        found = list(pool.map(lambda n: predict(n, features, rows), networks))
    return Predicted(
        np.mean([f.E for f in found], axis=0), np.mean([f.error for f in found], axis=0)
    )
