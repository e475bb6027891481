"""
Observations cut into groups of whole crystals, which threads or the workers of a cluster keep.

The cut depends on the data alone. What groups say of reflections are sums, and these are
added up in the order of the groups, so that neither the number of threads or workers nor
which of them is first changes any digit of what comes out.

Classes:
    CrystalGroups: the cut, and what is asked of groups
    CrystalGroup: what a group knows of its observations

Functions:
    added_up: sums of groups
    as_it_is: a column that groups keep
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Callable, NamedTuple

import numpy as np

from dials_spread import cluster
from dials_spread.observations import Observations
from dials_spread.threads import in_turn

GROUP = 2**17
"""Observations of a group, at least, but for the last."""

TAKES = 150
"""Bytes of an observation, with all that scaling and damage make of it."""


class CrystalGroup(NamedTuple):
    """
    The observations of a group of k crystals.

    Attributes:
        crystal: Shape (n,), int32, from 0 to k - 1, rising.
        unique: Shape (n,), as of all observations.
        intensity, variance: Shape (n,).
        n_crystals: k.
    """

    crystal: np.ndarray
    unique: np.ndarray
    intensity: np.ndarray
    variance: np.ndarray
    n_crystals: int


class Place(NamedTuple):
    """
    Where a group is among all observations.

    Attributes:
        rows: Its observations, crystal by crystal: a slice where they lie together.
        crystals: Their numbers in the order of the group.
        sizes: Observations of each.
    """

    rows: slice | np.ndarray
    crystals: np.ndarray
    sizes: np.ndarray


def places(crystal: np.ndarray, n_crystals: int) -> list[Place]:
    """
    Cut observations into groups of crystals.

    Args:
        crystal: Shape (n,), the crystal of each observation.
        n_crystals: Crystals, those without observations included: they are of the last
            group.
    """
    begins = np.flatnonzero(np.diff(crystal, prepend=-1))
    numbers, order = crystal[begins], None
    if len(np.unique(numbers)) < len(numbers):  # crystals do not lie together
        order = np.argsort(crystal, kind="stable")
        begins = np.flatnonzero(np.diff(crystal[order], prepend=-1))
        numbers = crystal[order][begins]
    ends = np.append(begins[1:], len(crystal))
    without = np.setdiff1d(np.arange(n_crystals), numbers)
    found: list[Place] = []
    first = 0
    while first < len(numbers) or not found:
        start = begins[first] if len(begins) else 0
        last = int(np.searchsorted(ends, start + GROUP)) + 1
        stop = ends[min(last, len(ends)) - 1] if len(ends) else 0
        own, sizes = numbers[first:last], (ends - begins)[first:last]
        if last >= len(numbers):
            own = np.append(own, without)
            sizes = np.append(sizes, np.zeros(len(without), int))
        rows = slice(int(start), int(stop))
        found.append(Place(rows if order is None else order[rows], own, sizes))
        first = last
    return found


@dataclass(frozen=True)
class CrystalGroups:
    """
    Groups of crystals, kept by workers of a cluster where there is one and several groups.

    Attributes:
        measured: All observations.
        places: Where those of each group are.
        nproc: Threads where there is no cluster; all cores by default.
    """

    measured: Observations
    places: Sequence[Place]
    nproc: int | None = None

    @classmethod
    def of(cls, measured: Observations, nproc: int | None = None) -> CrystalGroups:
        """Cut observations."""
        return cls(measured, places(measured.crystal, measured.n_experiments), nproc)

    @property
    def n_crystals(self) -> list[int]:
        """Crystals of each group."""
        return [len(p.crystals) for p in self.places]

    @property
    def elsewhere(self) -> bool:
        """Whether workers keep the groups."""
        return cluster.in_use() and len(self.places) > 1

    @cached_property
    def observed(self) -> list:
        """An `CrystalGroup` of each group, or its handle, as functions of `keep` get them."""
        if self.elsewhere:
            most = TAKES * max(int(p.sizes.sum()) for p in self.places)
            cluster.refuse_too_little_memory(most, "one group of crystals takes")
        all_of = self.measured
        names = "unique", "intensity", "variance"
        columns = zip(*(self.cut(getattr(all_of, name)) for name in names))
        sizes = [(p.sizes,) for p in self.places]
        return self.keep(_observed, None, [(*s, *c) for s, c in zip(sizes, columns)])

    @cached_property
    def angles(self) -> list:
        """Angles [°] of the observations of each group, or their handle."""
        return self.keep(as_it_is, None, [(x,) for x in self.cut(self.measured.angle)])

    @cached_property
    def rates(self) -> list:
        """Rates [Å⁻¹/rad], likewise."""
        return self.keep(as_it_is, None, [(x,) for x in self.cut(self.measured.rate)])

    def with_observed(self, observed: list) -> CrystalGroups:
        """Give the same groups with other intensities, an `CrystalGroup` or handle of each."""
        found = CrystalGroups(self.measured, self.places, self.nproc)
        found.__dict__.update(self.__dict__, observed=observed)
        return found

    def cut(self, column: np.ndarray) -> list[np.ndarray]:
        """Give a column of all observations, group by group."""
        return [column[p.rows] for p in self.places]

    def joined(self, parts: Iterable[np.ndarray]) -> np.ndarray:
        """Put what groups say of observations together, in the order of all."""
        found: np.ndarray | None = None
        for place, part in zip(self.places, parts):
            if found is None:
                shape = len(self.measured), *part.shape[1:]
                found = np.empty(shape, part.dtype)
            found[place.rows] = part
        assert found is not None  # there is one group at least
        return found

    def of_crystals(self, parts: Iterable[np.ndarray]) -> np.ndarray:
        """Put what groups say of crystals together, by their numbers."""
        rows = np.concatenate([*parts])
        found = np.empty_like(rows)
        found[np.concatenate([p.crystals for p in self.places])] = rows
        return found

    def cut_crystals(self, column: np.ndarray) -> list[np.ndarray]:
        """Give a column of crystals, group by group."""
        return [column[p.crystals] for p in self.places]

    def keep(self, function: Callable, shared: Any, tasks: Sequence[tuple]) -> list:
        """
        Call function(shared, *task) for each group, and leave what it returns there.

        Args:
            function: At the top level of a module.
            shared: What all groups need.
            tasks: What is each one's own: arrays, and what was kept.

        Returns:
            One thing a group, for tasks of `keep` and `told` alone.
        """
        if self.elsewhere:
            return cluster.keep(function, shared, tasks)
        return [*in_turn(function, [(shared, *t) for t in tasks], self.nproc)]

    def told(self, function: Callable, shared: Any, tasks: Sequence[tuple]) -> Iterator:
        """As `keep`, but give what is returned, in the order of the groups."""
        if self.elsewhere:
            return cluster.told(function, shared, tasks)
        return in_turn(function, [(shared, *t) for t in tasks], self.nproc)


def as_it_is(_, column: np.ndarray) -> np.ndarray:
    """Keep a column of a group as it is: for CrystalGroups.keep."""
    return column


def _observed(
    _,
    sizes: np.ndarray,
    unique: np.ndarray,
    intensity: np.ndarray,
    variance: np.ndarray,
) -> CrystalGroup:
    crystal = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    return CrystalGroup(crystal, unique, intensity, variance, len(sizes))


def added_up(parts: Iterable[Any]) -> Any:
    """
    Add up what groups give, in their order.

    Args:
        parts: At least one array or number.
    """
    rest = iter(parts)
    total = next(rest)
    for part in rest:
        total = total + part
    return total
