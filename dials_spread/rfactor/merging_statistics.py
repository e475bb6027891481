"""
Merging statistics as dials.scale and dials.merge print them, overall and by shell.

The sums run over observations I_i of unique reflections h, n_h of each, about the mean
⟨I_h⟩ with weights 1/σ²; R factors and CC½ rest on reflections with n_h > 1.

    R_merge = Σ_h Σ_i |I_i - ⟨I_h⟩| / Σ_h Σ_i I_i
    R_meas  = Σ_h √(n_h/(n_h - 1)) Σ_i |I_i - ⟨I_h⟩| / Σ_h Σ_i I_i
    R_pim   = Σ_h √(1/(n_h - 1)) Σ_i |I_i - ⟨I_h⟩| / Σ_h Σ_i I_i

R_merge: Arndt, Crowther & Mallett (1968), J. Phys. E 1, 510. R_meas: Diederichs & Karplus
(1997), Nat. Struct. Biol. 4, 269. R_pim: Weiss (2001), J. Appl. Cryst. 34, 130. CC½ is by
the σ-τ method, which takes no random halves: Assmann, Brehm & Diederichs (2016), J. Appl.
Cryst. 49, 1021.

Functions:
    merging_statistics: all of them, overall and by resolution shell
    r_merge, r_pim: beside r_meas of rfactor.merging
    r_merge_by_group: of the observations of each crystal, about the means of all
    mean_i_over_sigma: of merged intensities
    possible_reflections: those that a complete data set has
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from cctbx import crystal, miller, sgtbx, uctbx

from dials_spread.rfactor.merging import cc_half, merge, r_meas
from dials_spread.rfactor.shells import Shells, resolution_shells

N_SHELLS = 10

LABELS = {
    "d_max": "d_max [Å]",
    "d_min": "d_min [Å]",
    "n_observations": "observations",
    "n_unique": "unique",
    "multiplicity": "multiplicity",
    "completeness": "completeness [%]",
    "mean_i_over_sigma": "⟨I/σ⟩",
    "r_merge": "R_merge",
    "r_meas": "R_meas",
    "r_pim": "R_pim",
    "cc_half": "CC½",
}
"""How the log and the report call the attributes of `ShellStatistics`."""


@dataclass(frozen=True)
class ShellStatistics:
    """
    Merging statistics of the reflections of one shell, or of all.

    Attributes:
        d_max, d_min: Limits [Å] of the observed reflections.
        n_observations: Observations merged.
        n_unique: Unique reflections.
        n_repeated: Unique reflections observed twice or more: R factors and CC½ rest on
            them.
        multiplicity: Observations of a unique reflection, the mean.
        completeness: Unique reflections over those possible; 0 to 1.
        mean_i_over_sigma: Of merged intensities.
        r_merge, r_meas, r_pim, cc_half: nan where nothing was observed twice.
    """

    d_max: float
    d_min: float
    n_observations: int
    n_unique: int
    n_repeated: int
    multiplicity: float
    completeness: float
    mean_i_over_sigma: float
    r_merge: float
    r_meas: float
    r_pim: float
    cc_half: float

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return asdict(self)


@dataclass(frozen=True)
class MergingStatistics:
    """
    Merging statistics of one data set.

    Attributes:
        overall: Of all reflections.
        by_shell: From low to high resolution.
    """

    overall: ShellStatistics
    by_shell: tuple[ShellStatistics, ...]

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return {
            "overall": self.overall.as_dict(),
            "by_shell": [shell.as_dict() for shell in self.by_shell],
        }


def _r(
    intensity: np.ndarray, sigma: np.ndarray, unique: np.ndarray, power: int
) -> float:
    """Give Σ (n - 1)^(-power/2) Σ |I - ⟨I⟩| / Σ Σ I of what was observed twice."""
    n_unique = int(unique.max(initial=-1)) + 1
    merged = merge(intensity, sigma**2, unique, n_unique, 1 / sigma**2)
    kept = merged.n[unique] > 1
    total = intensity[kept].sum()
    if not total > 0:
        return float("nan")
    n = merged.n[unique[kept]]
    misfit = np.abs(intensity[kept] - merged.intensity[unique[kept]])
    return float(np.sum(misfit / np.sqrt(n - 1.0) ** power) / total)


def r_merge(intensity: np.ndarray, sigma: np.ndarray, unique: np.ndarray) -> float:
    """
    Give R_merge; nan where nothing was observed twice.

    Args:
        intensity: Shape (n,), on one scale.
        sigma: Shape (n,), positive.
        unique: Shape (n,), number of the unique reflection, from 0.

    Source: Arndt, Crowther & Mallett (1968), J. Phys. E 1, 510.
    """
    return _r(intensity, sigma, unique, 0)


def r_pim(intensity: np.ndarray, sigma: np.ndarray, unique: np.ndarray) -> float:
    """
    Give R_pim, of the merged means; nan where nothing was observed twice.

    Args:
        intensity, sigma, unique: As for r_merge.

    Source: Weiss (2001), J. Appl. Cryst. 34, 130.
    """
    return _r(intensity, sigma, unique, 1)


def r_merge_by_group(
    intensity: np.ndarray,
    sigma: np.ndarray,
    unique: np.ndarray,
    group: np.ndarray,
    n_groups: int,
) -> np.ndarray:
    """
    Give Σ|I - ⟨I⟩| / ΣI of each group's observations, about the means of all groups.

    Args:
        intensity, sigma, unique: As for r_merge.
        group: Shape (n,), the crystal or image of each observation.
        n_groups: Number of groups.

    Returns:
        Shape (n_groups,), nan where a group has no observation of a reflection observed
        twice, or their sum is not positive.

    Source: R_merge by batch, as dials.scale and AIMLESS tell it: Evans & Murshudov
    (2013), Acta Cryst. D69, 1204.
    """
    merged = merge(intensity, sigma**2, unique, int(unique.max()) + 1, 1 / sigma**2)
    kept = merged.n[unique] > 1
    misfit = np.abs(intensity - merged.intensity[unique])[kept]
    total = np.bincount(group[kept], intensity[kept], n_groups)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.bincount(group[kept], misfit, n_groups) / total
    return np.where(total > 0, found, np.nan)


def mean_i_over_sigma(
    intensity: np.ndarray, sigma: np.ndarray, unique: np.ndarray
) -> float:
    """
    Give the mean of I/σ over merged intensities.

    Args:
        intensity, sigma, unique: As for r_merge.

    Returns:
        nan without observations. It is as right as the σ of the observations are, which
        before dials.scale have no error model.
    """
    n_unique = int(unique.max(initial=-1)) + 1
    merged = merge(intensity, sigma**2, unique, n_unique, 1 / sigma**2)
    there = merged.n > 0
    if not there.any():
        return float("nan")
    return float(np.mean(merged.intensity[there] / merged.sigma[there]))


def possible_reflections(
    unit_cell: uctbx.unit_cell,
    space_group: sgtbx.space_group,
    friedel: bool,
    d_max: float,
    d_min: float,
) -> np.ndarray:
    """
    Give the d-spacings of all unique reflections of a range, absences left out.

    Args:
        unit_cell: Of the crystals.
        space_group: Likewise.
        friedel: Whether Friedel mates are one reflection.
        d_max, d_min: Limits [Å], both included.

    Returns:
        Shape (m,) [Å].
    """
    symmetry = crystal.symmetry(unit_cell=unit_cell, space_group=space_group)
    # The limits are d-spacings of reflections: these must not fall out by rounding.
    made = miller.build_set(
        symmetry,
        anomalous_flag=not friedel,
        d_max=d_max * (1 + 1e-6),
        d_min=d_min * (1 - 1e-6),
    )
    return made.d_spacings().data().as_numpy_array()


def _possible_by_shell(shells: Shells, possible: np.ndarray) -> np.ndarray:
    """Count possible reflections, those between two shells with the nearer one."""
    d_star_sq = 1 / possible**2
    limits = 0.5 / shells.d_min[:-1] ** 2 + 0.5 / shells.d_max[1:] ** 2
    return np.bincount(np.searchsorted(limits, d_star_sq), minlength=len(shells))


def _statistics(
    intensity: np.ndarray,
    sigma: np.ndarray,
    unique: np.ndarray,
    limits: Sequence[float],
    n_possible: int,
) -> ShellStatistics:
    number = np.ravel(np.unique(unique, return_inverse=True)[1])
    n_unique = int(number.max(initial=-1)) + 1
    repeated = r_meas(intensity, number, n_unique, 1 / sigma**2)
    return ShellStatistics(
        d_max=float(limits[0]),
        d_min=float(limits[1]),
        n_observations=len(intensity),
        n_unique=n_unique,
        n_repeated=repeated[1],
        multiplicity=len(intensity) / max(n_unique, 1),
        completeness=min(n_unique / n_possible, 1.0) if n_possible else float("nan"),
        mean_i_over_sigma=mean_i_over_sigma(intensity, sigma, number),
        r_merge=r_merge(intensity, sigma, number),
        r_meas=repeated[0],
        r_pim=r_pim(intensity, sigma, number),
        cc_half=float(cc_half(number, intensity)),
    )


def merging_statistics(
    intensity: np.ndarray,
    sigma: np.ndarray,
    unique: np.ndarray,
    d_spacing: np.ndarray,
    possible: np.ndarray,
    n_shells: int = N_SHELLS,
) -> MergingStatistics:
    """
    Give the merging statistics of a data set, overall and by resolution shell.

    Args:
        intensity: Shape (n,), on one scale.
        sigma: Shape (n,), positive.
        unique: Shape (n,), number of the unique reflection.
        d_spacing: Shape (u,) [Å], of unique reflections, each observed at least once.
        possible: Shape (m,) [Å], d-spacings of a complete set, from
            possible_reflections.
        n_shells: Shells with nearly equal numbers of unique reflections; fewer where
            there are not that many.

    Returns:
        The statistics; shells from low to high resolution.

    Raises:
        ValueError: There are no observations, or a σ is not positive.
    """
    if not len(intensity) or not np.all(sigma > 0):
        raise ValueError(
            f"{len(intensity)} observations, {int(np.sum(~(sigma > 0)))} of them without "
            "a positive σ: nothing can be merged"
        )
    shells = resolution_shells(d_spacing, n_shells)
    counts = _possible_by_shell(shells, possible)
    shell = shells.shell[unique]
    by_shell = [
        _statistics(intensity[own], sigma[own], unique[own], limits, int(counts[k]))
        for k, limits in enumerate(zip(shells.d_max, shells.d_min))
        for own in [shell == k]
    ]
    whole = (d_spacing.max(), d_spacing.min())
    return MergingStatistics(
        overall=_statistics(intensity, sigma, unique, whole, len(possible)),
        by_shell=tuple(by_shell),
    )
