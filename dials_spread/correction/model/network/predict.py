"""
Corrected amplitudes from a trained network, with numpy alone.

Functions:
    predict: of one network
    predict_mean: of several, averaged
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Callable

import numba as nb
import numpy as np

from dials_spread import cluster, stages
from dials_spread.correction.features.all_features import FeatureSet
from dials_spread.correction.features.feature_groups import FeatureGroup
from dials_spread.correction.model.network.inputs import observation_rows
from dials_spread.correction.model.network.shapes import HEADS, Network
from dials_spread.prepare.crystal_groups import places
from dials_spread.stages import stage
from dials_spread.threads import one_blas_thread
from dials_spread.versions import available_cores

BLOCK = 8192
"""Observations whose sums are made at a time."""

NEAR = 2048
"""Of these in turn: their layers stay in the processor's own cache."""

TASK = 32 * BLOCK
"""Observations whose sums are made apart where crystals do not lie together."""

STEEPEST = 6.0
"""Logarithms of weights lie between plus and minus this."""


Part = tuple[int, np.ndarray]
"""The first group that a block has to do with, and sums of it and those after it."""


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
    return _silu(x, found, found)


def _silu(x: np.ndarray, minus: np.ndarray, out: np.ndarray) -> np.ndarray:
    """The same, where -x is known; both may be written over."""
    with np.errstate(over="ignore"):  # where it is 0 to all digits
        np.exp(minus, out=minus)
    minus += 1
    return np.divide(x, minus, out=out)


# Each row is a call of its own: numba makes these loops of many numbers at a time only there.


@nb.njit(cache=True, nogil=True)
def _plus(x, bias, own, minus):
    for j in range(len(x)):
        x[j] = (x[j] + bias[j]) + own[j]
        minus[j] = -x[j]


@nb.njit(cache=True, nogil=True)
def _plus_two(x, bias, own, other, minus):
    for j in range(len(x)):
        x[j] = ((x[j] + bias[j]) + own[j]) + other[j]
        minus[j] = -x[j]


@nb.njit(cache=True, nogil=True)
def _plus_bias(x, bias, minus):
    for j in range(len(x)):
        x[j] += bias[j]
        minus[j] = -x[j]


@nb.njit(cache=True, nogil=True)
def _plus_row(total, x):
    for j in range(len(x)):
        total[j] += x[j]


@nb.njit(cache=True, nogil=True)
def _add_rows(x, bias, rows, group, minus):
    """Add to each row a bias and the row of its group; and give what is minus that."""
    for i in range(len(x)):
        _plus(x[i], bias, rows[group[i]], minus[i])


@nb.njit(cache=True, nogil=True)
def _add_rows_of_two(x, bias, rows, group, others, other_group, minus):
    """The same, with the rows of two groups."""
    for i in range(len(x)):
        _plus_two(x[i], bias, rows[group[i]], others[other_group[i]], minus[i])


@nb.njit(cache=True, nogil=True)
def _add_bias(x, bias, minus):
    """The same, with the bias alone."""
    for i in range(len(x)):
        _plus_bias(x[i], bias, minus[i])


@nb.njit(cache=True, nogil=True)
def _add_up(rows, group, first, out):
    """Add rows to those of their groups, in their order."""
    for i in range(len(rows)):
        _plus_row(out[group[i] - first], rows[i])


class _Layers:
    """The layers of a network as functions."""

    def __init__(self, network: Network) -> None:
        self.arrays = network.arrays

    def __call__(self, name: str, x: np.ndarray) -> np.ndarray:
        found = self.product(name, x)
        found += self.arrays[f"{name}.bias"]
        return found

    def product(self, name: str, x: np.ndarray) -> np.ndarray:
        """Give what a layer makes of x without its bias."""
        return x @ self.arrays[f"{name}.weight"].T

    def bias(self, name: str) -> np.ndarray:
        """Give its bias."""
        return self.arrays[f"{name}.bias"]


class _Groups:
    """Sums over the reflection, the crystal or all observations, block by block."""

    def __init__(self, group: np.ndarray, n_groups: int, count=None) -> None:
        self.group, self.n_groups, self.count = group, n_groups, count
        if count is None:  # else of all observations, where some are elsewhere
            of_each = np.bincount(group, minlength=n_groups)
            self.count = np.maximum(of_each, 1)[:, None]

    def nothing(self, block: slice, width: int, kind: type = np.float32) -> Part:
        """Begin the sums of one block, from the first of its groups to the last."""
        first, stop = self.range_of(block)
        return first, np.zeros((stop - first, width), kind)

    def add(self, part: Part, rows: np.ndarray, some: slice) -> None:
        """Add rows of some of its observations, in their order."""
        _add_up(rows, self.group[some], *part)

    def range_of(self, block: slice) -> tuple[int, int]:
        """Give the first group of some observations, and one after the last."""
        group = self.group[block]
        return int(group.min(initial=self.n_groups)), int(group.max(initial=-1)) + 1


def _cut(whole: slice, size: int) -> list[slice]:
    ends = whole.start, whole.stop
    return [slice(k, min(k + size, ends[1])) for k in range(*ends, size)]


def _less(part: slice, first: int) -> slice:
    return slice(part.start - first, part.stop - first)


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
        self.groups = self.of_unique, self.of_crystal = groups
        self.back: tuple[np.ndarray, ...] = ()
        layer = self.layer
        self.reflection = network.reflection_squash(features.reflection)
        self.of_reflection = silu(
            layer("reflect.1", silu(layer("reflect.0", self.reflection)))
        )
        self.to_observe = layer("observe_reflection", self.of_reflection)

    def _first(self, rows: np.ndarray, block: slice) -> np.ndarray:
        layer, group = self.layer, self.of_unique.group[block]
        x = layer.product("observe", self.squash(rows))
        minus = np.empty_like(x)
        _add_rows(x, layer.bias("observe"), self.to_observe, group, minus)
        x = layer.product("mix", _silu(x, minus, x))
        _add_bias(x, layer.bias("mix"), minus)
        return _silu(x, minus, x)

    def look(self, rows: np.ndarray, block: slice) -> list[Part]:
        """Give the sums of some observations by reflection and crystal, first round."""
        width = len(self.layer.bias("mix"))
        parts = [g.nothing(block, width) for g in self.groups]
        for some in _cut(block, NEAR):
            h = self._first(rows[_less(some, block.start)], some)
            for group, part in zip(self.groups, parts):
                group.add(part, h, some)
        return parts

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

    def weigh(self, rows: np.ndarray, block: slice) -> list[Part]:
        """Give the sums of what some observations say, in the second round."""
        part = self.of_unique.nothing(block, len(self.layer.bias("give")), float)
        for some in _cut(block, NEAR):
            own = rows[_less(some, block.start)]
            self.of_unique.add(part, self._given(own, some), some)
        return [part]

    def _given(self, rows: np.ndarray, some: slice) -> np.ndarray:
        """Give weights, weighted amplitudes and what else observations say."""
        layer = self.layer
        h = layer.product("again", self._first(rows, some))
        minus = np.empty_like(h)
        own = self.back[0], self.of_unique.group[some]
        other = self.back[1], self.of_crystal.group[some]
        _add_rows_of_two(h, layer.bias("again"), *own, *other, minus)
        given = layer("give", _silu(h, minus, h))
        off = given[:, HEADS : 2 * HEADS]
        weight = np.exp(STEEPEST * np.tanh(given[:, :HEADS] / STEEPEST))
        given[:, HEADS : 2 * HEADS] = weight * (self.features.E_i[some, None] - off)
        given[:, :HEADS] = weight
        return given

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


@stage("Networks")
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
    tasks = _tasks(features)
    if features.kept is not None or (cluster.in_use() and len(tasks) > 1):
        sums = _by_workers(networks, running, tasks)
    else:
        sums = _by_threads(running, tasks, nproc)
    for one, looked in zip(running, _total(groups, sums("look"))):
        one.turn(looked)
    weighed = _total(groups, sums("weigh"))
    found = [one.predicted(total) for one, (total,) in zip(running, weighed)]
    return Predicted(
        np.mean([f.E for f in found], axis=0), np.mean([f.error for f in found], axis=0)
    )


def _tasks(features: FeatureSet) -> list[slice]:
    """Cut observations where groups of crystals end, or where crystals are mixed."""
    whole = slice(0, len(features.unique))
    n_crystals = int(features.crystal.max(initial=-1)) + 1
    rows = [p.rows for p in places(features.crystal, n_crystals)]
    own = [r for r in rows if isinstance(r, slice)]
    return own if len(own) == len(rows) else _cut(whole, TASK)


def _total(
    groups: tuple[_Groups, _Groups], found: Iterable[list[list[Part]]]
) -> list[list[np.ndarray]]:
    """
    Add up what a step gives for consecutive observations: of each network all its sums.

    In their order, so that rounding is the same whoever is first.
    """
    total: list[list[np.ndarray]] = []
    for networks in found:
        total = total or [
            [np.zeros((g.n_groups, rows.shape[1]), rows.dtype) for g, (_, rows) in both]
            for both in ([*zip(groups, parts)] for parts in networks)
        ]
        for parts, wholes in zip(networks, total):
            for (first, rows), whole in zip(parts, wholes):
                whole[first : first + len(rows)] += rows
    return total


def _of_task(
    running: Sequence[_OneNetwork], step: str, task: slice, run: Callable = map
) -> list[list[Part]]:
    """Give what a step of each network sums over some observations, block by block."""
    features, groups = running[0].features, running[0].groups

    def of(block: slice) -> list[list[Part]]:
        rows = observation_rows(features, block)
        return [getattr(one, step)(rows, block) for one in running]

    ranges = [slice(*g.range_of(task)) for g in groups]
    blocks = _cut(task, BLOCK)
    total = _total(groups, stages.counted(run(of, blocks), len(blocks)))
    return [[(r.start, w[r]) for r, w in zip(ranges, wholes)] for wholes in total]


def _by_threads(
    running: Sequence[_OneNetwork], tasks: Sequence[slice], nproc: int | None
) -> Callable[[str], Iterator[list[list[Part]]]]:
    """Give a function that gives what a step sums, task by task."""

    def sums(step: str) -> Iterator[list[list[Part]]]:
        with one_blas_thread(), ThreadPoolExecutor(nproc or available_cores()) as pool:
            done = (_of_task(running, step, t, pool.map) for t in tasks)
            yield from stages.counted(done, len(tasks))

    return sums


def _by_workers(
    networks: Sequence[Network], running: Sequence[_OneNetwork], tasks: Sequence[slice]
) -> Callable[[str], Iterator[list[list[Part]]]]:
    """Give the same of the workers of a cluster, which keep their observations."""
    features, groups = running[0].features, running[0].groups
    columns = features.observation, features.E_i, *(g.group for g in groups)
    if features.kept is None:
        own = [tuple(column[t] for column in columns) for t in tasks]
        kept = [(part,) for part in cluster.keep(_as_it_is, None, own)]
    else:
        cut, of, tables = features.kept
        both = [*zip(of, tables, cut.cut(groups[1].group))]
        kept = [(part,) for part in cluster.keep(_as_kept, None, both)]
    observation = features.observation[:0]
    # Nothing of single observations.
    common = replace(features, observation=observation, E_i=features.E_i[:0])
    common = replace(common, unique=features.unique[:0], crystal=features.crystal[:0])
    common = replace(common, kept=None)
    counts = [g.count for g in groups]

    def sums(step: str) -> Iterator[list[list[Part]]]:
        back = [one.back for one in running]
        return cluster.told(_there, (networks, common, counts, step, back), kept)

    return sums


def _as_it_is(_, *columns: np.ndarray) -> tuple[np.ndarray, ...]:
    return columns


def _as_kept(
    _, group: FeatureGroup, table: np.ndarray, crystal: np.ndarray
) -> tuple[np.ndarray, ...]:
    return table, group.amplitudes, group.observed.unique, crystal


def _there(shared: tuple, columns: tuple[np.ndarray, ...]) -> list[list[Part]]:
    """Give what a step of each network sums over the observations of a worker."""
    networks, common, counts, step, back = shared
    observation, E_i, *numbers = columns
    features = replace(common, observation=observation, E_i=E_i, unique=numbers[0])
    of_unique, of_crystal = (_Groups(n, len(c), c) for n, c in zip(numbers, counts))
    running = [_OneNetwork(n, features, (of_unique, of_crystal)) for n in networks]
    for one, found in zip(running, back):
        one.back = found
    return _of_task(running, step, slice(0, len(E_i)))
