"""
Merged intensities of all branches on common reflections.

Branches reject different outliers and so have different reflections and observations.
What is compared is compared on the reflections that all of them have, besides each
branch on its own.

Functions:
    read_branch: the observations of one branch
    common_set: of all branches
    resampling_groups: crystals, or parts of scans, that are drawn
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from dials.array_family import flex
from dxtbx.model import Experiment

from dials_spread.input_files import read_files
from dials_spread.observations import Observations, build_observations, unique_indices
from dials_spread.observations.correction_state import COMMON, column, kept_rows
from dials_spread.observations.error_model import (
    counting_errors,
    error_model_parameters,
)
from dials_spread.rfactor.merging import Merged, merge
from dials_spread.statistics.bootstrap import FEWEST_CRYSTALS, Groups, group_crystals
from dials_spread.statistics.groups import group_means

PARTS = 12
"""Parts of scans that are drawn where there are too few crystals."""


@dataclass(frozen=True)
class BranchData:
    """
    The observations that one branch ends with.

    Attributes:
        files: Experiments and reflections.
        experiments: One a crystal.
        tables: Their reflections.
        observations: Scaled, Friedel mates merged.
        error_model: a and b of dials.scale's σ'² = a²(σ² + (bI)²); None where unknown.
        common: Shape (n,), the error that all observations of a reflection share, as a
            correction has left it in the tables; 0 without one.
    """

    files: tuple[Path, Path]
    experiments: Sequence[Experiment]
    tables: Sequence[flex.reflection_table]
    observations: Observations
    error_model: tuple[float, float] | None
    common: np.ndarray

    @property
    def identifiers(self) -> list[str]:
        """Of the crystals, by which branches are brought together."""
        return [e.identifier for e in self.experiments]


def read_branch(experiments: Path, reflections: Path) -> BranchData:
    """
    Read what a branch ends with.

    Args:
        experiments, reflections: Files, scaled.

    Raises:
        ValueError: They do not serve.
    """
    found = read_files([str(experiments)], [str(reflections)], "scale")
    observations = build_observations(
        found.experiments, found.tables, intensity="scale", min_zeta=0.0
    )
    return BranchData(
        (experiments, reflections),
        found.experiments,
        found.tables,
        observations,
        _error_model(found.experiments),
        _common_errors(observations, found.experiments, found.tables),
    )


def _error_model(experiments: Sequence[Experiment]) -> tuple[float, float] | None:
    """Give the median of the error model's two parameters."""
    found = [p for p in map(error_model_parameters, experiments) if p is not None]
    if not found:
        return None
    a, b = np.median(found, axis=0)
    return float(a), float(b)


def _common_errors(
    observations: Observations,
    experiments: Sequence[Experiment],
    tables: Sequence[flex.reflection_table],
) -> np.ndarray:
    """
    Give what merging does not make smaller, on the scale of the observations.

    The column has it in units of σ as the correction left them: of tables that were scaled
    since, without what the error model of dials.scale has added.
    """
    common = np.zeros(len(observations))
    for k, table in enumerate(tables):
        if COMMON in table:
            own = observations.crystal == k
            common[own] = column(table, COMMON)[observations.row[own]]
    if not common.any():
        return common
    variance = observations.variance
    if not any(kept_rows(table, "scale").any() for table in tables):
        variance = counting_errors(observations, experiments, tables).variance
    return common * np.sqrt(variance)


@dataclass(frozen=True)
class CommonSet:
    """
    All branches on one list of unique reflections.

    Attributes:
        data: By branch.
        unique_index: Shape (u, 3), reflections that any branch has.
        unique: By branch, shape (n,), the number in that list of each observation.
    """

    data: Mapping[str, BranchData]
    unique_index: np.ndarray
    unique: Mapping[str, np.ndarray]

    @cached_property
    def merged(self) -> dict[str, Merged]:
        """
        By branch: merged with weights 1/σ², as dials.merge does; nan where missing.

        σ holds what all observations of a reflection share, too.
        """
        found = {}
        for name, own in self.data.items():
            unique, n = self.unique[name], len(self.unique_index)
            variance = own.observations.variance
            merged = merge(
                own.observations.intensity, variance, unique, n, 1 / variance
            )
            common = group_means(own.common, unique, n)
            sigma = np.hypot(merged.sigma, np.nan_to_num(common))
            found[name] = Merged(merged.intensity, sigma, merged.n)
        return found

    @cached_property
    def in_all(self) -> np.ndarray:
        """Shape (u,), bool: reflections that every branch has."""
        return np.all([m.n > 0 for m in self.merged.values()], axis=0)

    @cached_property
    def strong(self) -> np.ndarray:
        """
        Shape (u,), bool: I > 2σ in the mean over branches, and in all of them.

        Each branch's own choice would flatter those whose σ are large, as they judge
        themselves by their strongest reflections alone.
        """
        ratios = [m.intensity / m.sigma for m in self.merged.values()]
        with np.errstate(invalid="ignore"):
            return self.in_all & (np.mean(ratios, axis=0) > 2)

    @cached_property
    def d_spacing(self) -> np.ndarray:
        """Shape (u,) [Å], from the cell of the first branch."""
        cell = next(iter(self.data.values())).observations.unit_cell
        return np.array([cell.d(tuple(int(x) for x in h)) for h in self.unique_index])


def common_set(data: Mapping[str, BranchData]) -> CommonSet:
    """
    Bring branches onto one list of unique reflections.

    Args:
        data: By branch, one at least; of one space group.
    """
    first = next(iter(data.values())).observations
    listed = np.concatenate([d.observations.unique_index for d in data.values()])
    unique_index, number = unique_indices(listed, first.space_group, friedel=True)
    sizes = [d.observations.n_unique for d in data.values()]
    own = np.split(np.ravel(number), np.cumsum(sizes)[:-1])
    unique = {
        name: numbers[d.observations.unique]
        for (name, d), numbers in zip(data.items(), own)
    }
    return CommonSet(data, unique_index, unique)


@dataclass(frozen=True)
class ResamplingGroups:
    """
    What is drawn to see whether a difference is real.

    Attributes:
        kind: "crystals", or "parts of scans" where there are too few crystals.
        n: Number of groups.
        of: By branch, shape (n,), the group of each observation.
    """

    kind: str
    n: int
    of: Mapping[str, np.ndarray]

    def draws(self, rng: np.random.Generator, n_draws: int) -> np.ndarray:
        """Give weights of groups, shape (1 + draws, n): all once, then of mean one."""
        return Groups(np.arange(self.n), self.n, self.n).draws(rng, n_draws)


def resampling_groups(common: CommonSet, rng: np.random.Generator) -> ResamplingGroups:
    """
    Number the crystals alike in all branches, or parts of scans where these are few.

    Args:
        common: All branches.
        rng: Puts crystals into groups where there are very many.
    """
    names = sorted({i for d in common.data.values() for i in d.identifiers})
    number = {name: k for k, name in enumerate(names)}
    crystal = {
        branch: np.array([number[i] for i in d.identifiers])[d.observations.crystal]
        for branch, d in common.data.items()
    }
    if len(names) >= FEWEST_CRYSTALS:
        every = group_crystals(np.arange(len(names)), len(names), rng)
        of = {branch: every.of_crystal[own] for branch, own in crystal.items()}
        return ResamplingGroups("crystals", every.n, of)
    # Parts are cut where a branch that has all observations would cut them.
    parts = PARTS // len(names)
    of = {}
    for branch, own in common.data.items():
        place = _place_in_scan(own)
        part = np.minimum((place * parts).astype(int), parts - 1)
        of[branch] = crystal[branch] * parts + part
    return ResamplingGroups("parts of scans", parts * len(names), of)


def _place_in_scan(data: BranchData) -> np.ndarray:
    """Give where in its scan each observation is, 0 to 1."""
    observations = data.observations
    image = np.zeros(len(observations), dtype=int)
    image[observations.entry] = observations.entry_image
    frame = observations.images.first[image].astype(float)
    place = np.zeros(len(observations))
    for k, experiment in enumerate(data.experiments):
        own = observations.crystal == k
        if experiment.scan is None or not own.any():
            continue
        first, last = experiment.scan.get_image_range()
        place[own] = (frame[own] - first) / max(last - first + 1, 1)
    return np.clip(place, 0, 1)
