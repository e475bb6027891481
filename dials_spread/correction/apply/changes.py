"""
What a correction changed, and what the agreement of equivalents says of it.

Functions:
    describe_changes: by resolution, strength and crystal
    change_shells: the shells of "by resolution"
    describe_agreement: of observations, and of crystals with one another
    fourth_moments: how unlike the amplitudes are, before and after
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from dials_spread.observations import Observations
from dials_spread.prepare.prepared import Prepared
from dials_spread.rfactor import amplitudes
from dials_spread.rfactor.merging import r_meas
from dials_spread.rfactor.shells import Shells, resolution_shells
from dials_spread.rfactor.wilson_statistics import fourth_moment
from dials_spread.stages import stage

STRENGTHS = (0.0, 0.4, 0.8, 1.2, 2.0, np.inf)
"""Limits of the bins of normalised amplitudes."""

N_SHELLS = 8


@dataclass(frozen=True)
class Change:
    """
    How much the amplitudes of a group of reflections were changed.

    Attributes:
        group: What the group is.
        n: Number of reflections; of observations for a crystal.
        ratio: Sum of amplitudes after over that before.
        change: Sum of absolute changes over the sum of amplitudes before.
        error: Sum of expected errors over the sum of amplitudes after; None where
            nothing is expected.
    """

    group: str
    n: int
    ratio: float
    change: float
    error: float | None = None

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return asdict(self)


@dataclass(frozen=True)
class EquivalentAgreement:
    """
    How well equivalents agree, which is no proof that they are right.

    Attributes:
        r_meas: Of observations.
        n_repeated: Reflections that it rests on.
        cc_crystals: Median correlation of a crystal's merged intensities with those of
            all others; nan for a single crystal.
        n_crystals: Crystals that it rests on.
        chi_square: Median squared deviation of an observation from its mean over its
            variance, divided by that of normal noise: 1 where σ is right.
    """

    r_meas: float
    n_repeated: int
    cc_crystals: float
    n_crystals: int
    chi_square: float

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return asdict(self)


def _change(
    group: str, before: np.ndarray, after: np.ndarray, error: np.ndarray | None = None
) -> Change:
    total, left = before.sum(), after.sum()
    if not (total > 0 and left > 0):
        return Change(group, len(before), float("nan"), float("nan"))
    return Change(
        group,
        len(before),
        float(left / total),
        float(np.abs(after - before).sum() / total),
        None if error is None else float(error.sum() / left),
    )


def change_shells(d_spacing: np.ndarray) -> Shells:
    """
    Give the resolution shells by which changes are told, in tables and plots alike.

    Args:
        d_spacing: Shape (u,) [Å], of all unique reflections.
    """
    return resolution_shells(d_spacing, N_SHELLS)


@stage("Changes")
def describe_changes(
    prepared: Prepared,
    before: np.ndarray,
    F: np.ndarray,
    after: Observations,
    error_F: np.ndarray | None = None,
) -> dict[str, list[Change]]:
    """
    Say how much was changed, and where.

    Args:
        prepared: The compound.
        before: Shape (u,), amplitudes without correction, merged in the same way as F: a
            difference of weights is no change.
        F: Shape (u,), corrected amplitudes.
        after: Corrected observations, on one scale.
        error_F: Shape (u,), expected errors of F, where these are known.

    Returns:
        Changes under "all", "resolution", "strength" and "crystal".
    """
    measured = prepared.measured

    def change(told: str, own) -> Change:
        error = None if error_F is None else error_F[own]
        return _change(told, before[own], F[own], error)

    changes: dict[str, list[Change]] = {"all": [change("all", slice(None))]}
    changes |= {"resolution": [], "strength": []}
    shells = change_shells(1 / np.sqrt(measured.d_star_sq))
    for k in range(len(shells)):
        own = shells.shell == k
        told = f"{shells.d_max[k]:.2f} to {shells.d_min[k]:.2f} Å"
        changes["resolution"].append(change(told, own))
    for low, high in zip(STRENGTHS[:-1], STRENGTHS[1:]):
        own = (prepared.E_k >= low) & (prepared.E_k < high)
        told = f"{low:g} to {high:g}" if np.isfinite(high) else f"above {low:g}"
        changes["strength"].append(change(told, own))
    own_before = amplitudes(prepared.intensity)
    own_after = amplitudes(after.intensity)
    changes["crystal"] = [
        _change(str(c), own_before[own], own_after[own])
        for c, own in enumerate(measured.by_crystal(measured.n_experiments))
    ]
    return changes


def describe_agreement(observations: Observations) -> EquivalentAgreement:
    """
    Say how well equivalents agree.

    Args:
        observations: On one scale.
    """
    intensity, unique = observations.intensity, observations.unique
    groups = (unique, observations.n_unique)
    repeated, n_repeated = r_meas(intensity, *groups)
    cc = _crystal_correlations(intensity, observations.crystal, *groups)
    n = np.bincount(unique, minlength=observations.n_unique)[unique]
    kept = n > 1
    off = intensity - observations.merged()[unique]
    z2 = (off / observations.sigma)[kept] ** 2
    z2 = z2 * n[kept] / (n[kept] - 1)
    return EquivalentAgreement(
        r_meas=repeated,
        n_repeated=n_repeated,
        cc_crystals=float(np.median(cc)) if len(cc) else float("nan"),
        n_crystals=len(cc),
        # The median of χ² with one degree of freedom is 0.455.
        chi_square=float(np.median(z2) / 0.4549) if len(z2) else float("nan"),
    )


def _crystal_correlations(
    intensity: np.ndarray, crystal: np.ndarray, unique: np.ndarray, n_unique: int
) -> np.ndarray:
    """Correlate each crystal's means with the means over all other crystals."""
    key, number = np.unique(
        crystal.astype(np.int64) * n_unique + unique, return_inverse=True
    )
    number = np.ravel(number)
    own_n, own_sum = np.bincount(number), np.bincount(number, intensity)
    of_crystal, of_unique = key // n_unique, key % n_unique
    other_n = np.bincount(unique, minlength=n_unique)[of_unique] - own_n
    other_sum = np.bincount(unique, intensity, n_unique)[of_unique] - own_sum
    shared = other_n > 0
    own = own_sum[shared] / own_n[shared]
    others = other_sum[shared] / other_n[shared]
    found, of_crystal = [], of_crystal[shared]
    # Keys rise, and with them crystals.
    ends = np.append(np.flatnonzero(np.diff(of_crystal, prepend=-1)), len(of_crystal))
    for first, stop in zip(ends[:-1], ends[1:]):
        x, y = own[first:stop], others[first:stop]
        if len(x) > 10 and np.ptp(x) > 0 and np.ptp(y) > 0:
            found.append(np.corrcoef(x, y)[0, 1])
    return np.array(found)


def fourth_moments(
    prepared: Prepared, before: np.ndarray, F: np.ndarray
) -> tuple[float, float]:
    """
    Give ⟨E⁴⟩/⟨E²⟩² before and after; nan where nothing is positive.

    Args:
        prepared: The compound; both are normalised with what was expected before.
        before: Shape (u,), amplitudes without correction, merged in the same way as F.
        F: Shape (u,), corrected amplitudes.
    """
    root_N = np.sqrt(prepared.N)
    return fourth_moment(before / root_N), fourth_moment(F / root_N)
