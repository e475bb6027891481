"""
One pair of images in full: every common reflection, and all that is known of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dials_spread import orientation
from dials_spread.incidence import Incidence, common_entries
from dials_spread.observations import Observations
from dials_spread.pairs.agreement import PairAgreement
from dials_spread.pairs.matching import Matches


@dataclass(frozen=True)
class SpotComparison:
    """
    The common reflections of one pair, and everything else known of them.

    Everything is on the scale of image a. Arrays of length n, by falling d-spacing.

    Attributes:
        image_a: Number of the one image.
        image_b: Number of the other.
        miller_index: Shape (n, 3), as indexed on image a.
        d_spacing: [Å].
        intensity_a: I_a.
        sigma_a: σ_a.
        intensity_b: k I_b.
        sigma_b: k σ_b.
        z: (I_a - k I_b) / √(σ_a² + k²σ_b²).
        background_n: Number of observations on all other images.
        background_mean: Their mean; nan where there are none, as below.
        background_median: Their median.
        background_sd: Their standard deviation; nan for fewer than two.
        percentile_a: Of I_a among them [%].
        percentile_b: Of k I_b among them [%].
        merged_mean: Mean of all observations, the pair's included, weighted by 1/σ².
        background_spot: Shape (m,): for each background observation, its reflection.
        background_intensity: Shape (m,).
        position_a: Shape (n, 2) [Å⁻¹], right and up across the beam of image a.
        position_b: Shape (n, 2) [Å⁻¹], on image b, turned onto a.
        spots_a: Shape (na, 2) [Å⁻¹], all spots of a.
        spots_b: Shape (nb, 2) [Å⁻¹], all spots of b, turned onto a.
        turn: Shape (2, 2), takes b's positions to a's.
    """

    image_a: int
    image_b: int
    miller_index: np.ndarray
    d_spacing: np.ndarray
    intensity_a: np.ndarray
    sigma_a: np.ndarray
    intensity_b: np.ndarray
    sigma_b: np.ndarray
    z: np.ndarray
    background_n: np.ndarray
    background_mean: np.ndarray
    background_median: np.ndarray
    background_sd: np.ndarray
    percentile_a: np.ndarray
    percentile_b: np.ndarray
    merged_mean: np.ndarray
    background_spot: np.ndarray
    background_intensity: np.ndarray
    position_a: np.ndarray
    position_b: np.ndarray
    spots_a: np.ndarray
    spots_b: np.ndarray
    turn: np.ndarray


def _background(
    incidence: Incidence, a: int, b: int, unique: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """
    Find the entries of the given reflections on all images but a and b.

    Equivalents on one image are one unique reflection and share their background.
    Returns the number of the spot and the entry, by spot.
    """
    elsewhere = np.ones(len(incidence.unique), dtype=bool)
    for image in (a, b):
        elsewhere[incidence.row(image)] = False
    entry = np.flatnonzero(elsewhere & np.isin(incidence.unique, unique))
    entry = entry[np.argsort(incidence.unique[entry], kind="stable")]
    first = np.searchsorted(incidence.unique[entry], unique)
    count = np.searchsorted(incidence.unique[entry], unique, side="right") - first
    spot = np.repeat(np.arange(len(unique)), count)
    within = np.arange(len(spot)) - np.repeat(np.cumsum(count) - count, count)
    return spot, entry[first[spot] + within]


def _percentiles(values: np.ndarray, among: list[np.ndarray]) -> np.ndarray:
    """Give the share [%] of others below each value, those equal counted by half."""
    return np.array(
        [
            100 * (np.mean(x < v) + 0.5 * np.mean(x == v)) if len(x) else np.nan
            for v, x in zip(values, among)
        ]
    )


def _describe(values: list[np.ndarray], function, least: int) -> np.ndarray:
    return np.array([function(v) if len(v) >= least else np.nan for v in values])


def _turned_positions(
    observations: Observations, incidence: Incidence, matches: Matches, pair: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions across the beam of all entries, as on a and as on b but turned onto a."""
    turn = orientation.turn_matrix(
        matches.in_plane_angle[pair], bool(matches.mirrored[pair])
    )
    images = observations.images
    axes = orientation.axes_across(images.s0)
    hkl = incidence.miller_index[incidence.column]
    place_a, place_b = (
        hkl @ (axes[image] @ images.setting[image]).T
        for image in (matches.image_a[pair], matches.image_b[pair])
    )
    return place_a, place_b @ turn.T, turn


def _by_resolution(
    observations: Observations, incidence: Incidence, matches: Matches, pair: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Entries on a and on b that they share, and d [Å], from the largest d downwards."""
    a, b = int(matches.image_a[pair]), int(matches.image_b[pair])
    on_a, on_b = common_entries(incidence, a, b, matches.operator[pair])
    d = observations.d_spacing[incidence.unique[on_a]]
    order = np.lexsort((incidence.column[on_a], -d))
    return on_a[order], on_b[order], d[order]


def compare_spots(
    observations: Observations,
    matches: Matches,
    agreement: PairAgreement,
    incidence: Incidence,
    pair: int,
    scales: np.ndarray,
) -> SpotComparison:
    """
    Lay out one pair spot by spot, with the background of all other observations.

    Args:
        observations: The observations.
        matches: The pairs.
        agreement: Of the pairs, for the scale k.
        incidence: With all crystals on one scale.
        pair: Number of the pair.
        scales: Shape (crystals,), what the intensities of each crystal were divided by.

    Returns:
        The comparison, on the scale of image a.
    """
    a, b = int(matches.image_a[pair]), int(matches.image_b[pair])
    on_a, on_b, d = _by_resolution(observations, incidence, matches, pair)
    k, unit = agreement.scale[pair], scales[observations.images.crystal[a]]
    k = k if np.isfinite(k) else 1.0
    intensity, sigma = unit * incidence.intensity, unit * np.sqrt(incidence.variance)
    intensity[incidence.row(b)] *= k
    sigma[incidence.row(b)] *= k
    i_a, i_b, s_a, s_b = intensity[on_a], intensity[on_b], sigma[on_a], sigma[on_b]
    unique = incidence.unique[on_a]
    spot, entry = _background(incidence, a, b, unique)
    others = intensity[entry]
    among = np.split(others, np.searchsorted(spot, np.arange(1, len(i_a))))
    place_a, place_b, turn = _turned_positions(observations, incidence, matches, pair)
    return SpotComparison(
        image_a=a,
        image_b=b,
        miller_index=incidence.miller_index[incidence.column[on_a]],
        d_spacing=d,
        intensity_a=i_a,
        sigma_a=s_a,
        intensity_b=i_b,
        sigma_b=s_b,
        z=(i_a - i_b) / np.hypot(s_a, s_b),
        background_n=np.array([len(v) for v in among]),
        background_mean=_describe(among, np.mean, 1),
        background_median=_describe(among, np.median, 1),
        background_sd=_describe(among, lambda v: np.std(v, ddof=1), 2),
        percentile_a=_percentiles(i_a, among),
        percentile_b=_percentiles(i_b, among),
        merged_mean=_merged_means(incidence.unique, intensity, sigma)[unique],
        background_spot=spot,
        background_intensity=others,
        position_a=place_a[on_a],
        position_b=place_b[on_b],
        spots_a=place_a[incidence.row(a)],
        spots_b=place_b[incidence.row(b)],
        turn=turn,
    )


def _merged_means(unique, intensity, sigma) -> np.ndarray:
    """Mean of all observations of each unique reflection, weighted by 1/σ²."""
    with np.errstate(invalid="ignore"):  # numbers that no observation has
        return np.bincount(unique, intensity / sigma**2) / np.bincount(
            unique, sigma**-2
        )
