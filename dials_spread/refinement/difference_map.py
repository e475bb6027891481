"""
Peaks of the difference map Fo - Fc.

Its coefficients are the electron amplitudes F [Å] of what the model lacks. The map is a
potential, φ(r) = h² / (2π m e V) Σ F exp(-2πi h·r), with h² / (2π m e) = 47.878 V Å².

Functions:
    difference_map: its peaks
    nearest: distances from sites to the nearest of others
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cctbx import maptbx, miller, xray
from cctbx.array_family import flex

# h² / (2π m e) [V Å²], m the rest mass (CODATA 2018).
POTENTIAL = 47.87801

# Points of the map along the shortest period.
POINTS = 4

# Peaks nearer to each other than this are one [Å].
APART = 0.6

HIGH = 4.0
"""Standard deviations of the map from which a peak is more than noise."""


@dataclass(frozen=True)
class Peak:
    """
    A peak of a map.

    Attributes:
        site: Fractional.
        height: [V].
        in_sigma: Height over the standard deviation of the map.
        atom: Label of the nearest atom of the model.
        distance: To it [Å].
    """

    site: tuple[float, float, float]
    height: float
    in_sigma: float
    atom: str
    distance: float


@dataclass(frozen=True)
class DifferenceMap:
    """
    Peaks of a map.

    Attributes:
        sigma: Standard deviation of the map [V].
        peaks: The highest ones, in falling order.
        highest: The highest; None for a map that is flat.
        lowest: The lowest hole; None for a map that is flat.
    """

    sigma: float
    peaks: tuple[Peak, ...]
    highest: Peak | None
    lowest: Peak | None


def difference_map(
    model: xray.structure, f_sq: miller.array, n_peaks: int = 20
) -> DifferenceMap:
    """
    Find the highest peaks, and the lowest hole, of Fo - Fc.

    Args:
        model: As `model.electron_model` gives it, refined.
        f_sq: Intensities on the scale of the model's Fc². Negative ones count as zero.
        n_peaks: How many peaks are listed.
    """
    calculated = f_sq.structure_factors_from_scatterers(model, algorithm="direct")
    F_c = np.array(calculated.f_calc().data())
    F_o = np.sqrt(np.maximum(np.array(f_sq.data()), 0))
    phases = np.where(np.abs(F_c) > 0, F_c / np.maximum(np.abs(F_c), 1e-300), 1)
    lacking = miller.array(
        miller.set(f_sq, f_sq.indices(), anomalous_flag=False),
        flex.complex_double((F_o - np.abs(F_c)) * phases),
    )
    sigma, peaks = _search(lacking, n_peaks)
    _, holes = _search(lacking.customized_copy(data=-lacking.data()), 1)
    if not sigma > 0:
        return DifferenceMap(0.0, (), None, None)
    sites = np.array([site for site, _ in peaks + holes]).reshape(-1, 3)
    distance, atom = nearest(model, sites, np.array(model.sites_frac()))
    heights = [height for _, height in peaks] + [-height for _, height in holes]
    found = [
        Peak(
            site=tuple(site.tolist()),
            height=float(height),
            in_sigma=float(height / sigma),
            atom=model.scatterers()[int(i)].label,
            distance=float(away),
        )
        for site, height, away, i in zip(sites, heights, distance, atom)
    ]
    own = tuple(found[: len(peaks)])
    return DifferenceMap(
        sigma=sigma,
        peaks=own,
        highest=own[0] if own else None,
        lowest=found[-1] if holes else None,
    )


def _search(lacking: miller.array, n_peaks: int) -> tuple[float, list]:
    """Standard deviation of a map [V], and sites and heights [V] of its peaks."""
    f_map = lacking.fft_map(
        symmetry_flags=maptbx.use_space_group_symmetry, resolution_factor=1 / POINTS
    )
    f_map.apply_volume_scaling()
    sigma = float(f_map.statistics().sigma()) * POTENTIAL
    if not sigma > 0:
        return sigma, []
    wanted = maptbx.peak_search_parameters(
        min_distance_sym_equiv=APART, min_cross_distance=APART, max_clusters=n_peaks
    )
    found = f_map.peak_search(wanted, verify_symmetry=False).all()
    heights = np.array(found.heights()) * POTENTIAL
    order = np.argsort(-heights, kind="stable")[:n_peaks]
    sites = list(found.sites())
    return sigma, [(sites[i], heights[i]) for i in order]


def nearest(
    structure: xray.structure, sites: np.ndarray, others: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """
    Distances from sites to the nearest symmetry equivalent of others.

    Args:
        structure: With cell and space group.
        sites: Shape (n, 3), fractional.
        others: Shape (m, 3), fractional.

    Returns:
        Distance [Å] and number of the nearest, both of shape (n,); inf and -1 where
        there are no others.
    """
    distance = np.full(len(sites), np.inf)
    which = np.full(len(sites), -1)
    if not len(others) or not len(sites):
        return distance, which
    to_cartesian = np.reshape(structure.unit_cell().orthogonalization_matrix(), (3, 3))
    for op in structure.space_group():
        r = np.reshape(op.r().as_double(), (3, 3))
        apart = sites[:, None] - (others @ r.T + np.array(op.t().as_double()))
        apart -= np.round(apart)
        length = np.linalg.norm(apart @ to_cartesian.T, axis=2)
        best = length.argmin(axis=1)
        closest = length[np.arange(len(sites)), best]
        which = np.where(closest < distance, best, which)
        distance = np.minimum(closest, distance)
    return distance, which
