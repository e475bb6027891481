"""
R1 of branches against a structure, and whether a difference is more than chance.

R1 is taken with a scale and an overall B (rfactor.scaled_r1). Crystals are drawn by weights: the sums
behind each merged intensity are kept by crystal, so that a draw merges anew without
reading or scaling anything.

Functions:
    group_sums_of: the sums by crystal
    resampled_r1: R1 of all branches for all draws
    differences: between branches, with intervals
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from dials_spread.placement.common_set import CommonSet, ResamplingGroups
from dials_spread.rfactor import amplitudes
from dials_spread.rfactor.scaled_r1 import least_r1
from dials_spread.statistics.bootstrap import interval


@dataclass(frozen=True)
class GroupSums:
    """
    Sums behind merged intensities, by group.

    Attributes:
        weighted: Shape (groups, u), Σ I/σ².
        weight: Shape (groups, u), Σ 1/σ².
    """

    weighted: np.ndarray
    weight: np.ndarray

    def merged(self, draws: np.ndarray) -> np.ndarray:
        """
        Merge with weights of groups.

        Args:
            draws: Shape (draws, groups).

        Returns:
            Shape (draws, u), nan where a draw has no observation.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            return (draws @ self.weighted) / (draws @ self.weight)


def group_sums_of(common: CommonSet, groups: ResamplingGroups) -> dict[str, GroupSums]:
    """
    Sum by group and reflection.

    Args:
        common: All branches.
        groups: What is drawn.
    """
    found, u = {}, len(common.unique_index)
    for name, own in common.data.items():
        weight = 1 / own.observations.variance
        place = groups.of[name] * u + common.unique[name]
        shape = (groups.n, u)
        found[name] = GroupSums(
            np.bincount(
                place, weight * own.observations.intensity, groups.n * u
            ).reshape(shape),
            np.bincount(place, weight, groups.n * u).reshape(shape),
        )
    return found


def resampled_r1(
    sums: Mapping[str, GroupSums],
    draws: np.ndarray,
    f_c: np.ndarray,
    d_star_sq: np.ndarray,
    used: np.ndarray,
) -> dict[str, np.ndarray]:
    """
    Give R1 of all branches for all draws.

    Args:
        sums: By branch.
        draws: Shape (draws, groups).
        f_c: Shape (u,).
        d_star_sq: Shape (u,) [Å⁻²].
        used: Shape (u,), bool: reflections that all branches have.

    Returns:
        By branch, shape (draws,).
    """
    kept = used & np.isfinite(f_c)
    f_c, s_sq = f_c[kept], d_star_sq[kept]
    found = {}
    for name, own in sums.items():
        part = GroupSums(own.weighted[:, kept], own.weight[:, kept])
        f_o = amplitudes(part.merged(draws))
        found[name] = least_r1(f_o, f_c, s_sq)[0]
    return found


@dataclass(frozen=True)
class Difference:
    """
    How two branches differ in one figure.

    Attributes:
        better, worse: Names; "better" has the lower figure.
        figure: What it is of: "r1" against the structure.
        value: Of "worse" less that of "better", not negative.
        low, high: 95 % interval; nan where there is none.
    """

    better: str
    worse: str
    figure: str
    value: float
    low: float
    high: float

    @property
    def certain(self) -> bool:
        """Whether the interval leaves no doubt about the sign."""
        return bool(self.low > 0)

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return {**asdict(self), "certain": self.certain}


def differences(
    drawn: Mapping[str, np.ndarray], n_groups: int, figure: str = "r1"
) -> list[Difference]:
    """
    Compare all pairs of branches.

    Args:
        drawn: By branch, shape (1 + draws,), the first of all groups.
        n_groups: Number of groups drawn.
        figure: What was drawn; the lower the better.
    """
    names: Sequence[str] = sorted(drawn, key=lambda name: drawn[name][0])
    found = []
    for i, better in enumerate(names):
        for worse in names[i + 1 :]:
            values = drawn[worse] - drawn[better]
            low, high = _signed_interval(values, n_groups)
            found.append(Difference(better, worse, figure, float(values[0]), low, high))
    return found


def _signed_interval(values: np.ndarray, n_groups: int) -> tuple[float, float]:
    """Give the interval on the linear scale: a difference may have either sign."""
    # A shift puts zero out of reach of the logarithmic scale and is taken off again.
    shift = 10 * np.ptp(values[np.isfinite(values)]) + 1 if len(values) else 1.0
    low, high = interval(values - shift, n_groups)
    return low + shift, high + shift
