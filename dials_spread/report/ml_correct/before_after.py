"""
One correction as two data sets, before and after, for tables and plots.

Both are the same observations on the same scales, those that the correction put the
crystals on, and both are merged with weights 1/σ² as dials.merge does. So nothing differs
but the correction: at strength 0 the two are equal.

Functions:
    compare: the two data sets
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dials_spread.correction import CorrectionResult
from dials_spread.correction.apply.estimates import amplitude_sigma
from dials_spread.prepare.normalisation import normalise
from dials_spread.rfactor import amplitudes, merge
from dials_spread.rfactor.merging_statistics import (
    MergingStatistics,
    merging_statistics,
    possible_reflections,
    r_merge_by_group,
)
from dials_spread.statistics.groups import group_medians


@dataclass(frozen=True)
class Side:
    """
    The data before, or after.

    Attributes:
        intensity: Shape (u,), merged.
        F: Shape (u,), √max(I, 0).
        sigma_F: Shape (u,), from the σ of the observations.
        z: Shape (u,), I over the mean intensity at its resolution, that of these data.
        statistics: Merging statistics.
        r_merge_crystal: Shape (crystals,), R_merge of the observations of each.
    """

    intensity: np.ndarray
    F: np.ndarray
    sigma_F: np.ndarray
    z: np.ndarray
    statistics: MergingStatistics
    r_merge_crystal: np.ndarray


@dataclass(frozen=True)
class BeforeAfter:
    """
    A correction as two data sets.

    Attributes:
        miller_index: Shape (u, 3).
        d_spacing: Shape (u,) [Å].
        epsilon: Shape (u,), factor of the mean intensity from symmetry.
        centric: Shape (u,), bool.
        n: Shape (u,), observations of each.
        factor: Shape (u,), median factor of a reflection's intensities.
        has_offset: Shape (u,), bool: an additive offset instead of a factor.
        before, after: The data sets.
        predicted_sigma_F: Shape (u,), predicted standard deviations of F after; None
            where nothing is predicted, or the correction was not applied in full.
        E: Shape (u,), normalised amplitudes before, ⟨E²⟩ = 1.
        space_group: Its symbol.
        friedel: Whether Friedel mates are merged.
    """

    miller_index: np.ndarray
    d_spacing: np.ndarray
    epsilon: np.ndarray
    centric: np.ndarray
    n: np.ndarray
    factor: np.ndarray
    has_offset: np.ndarray
    before: Side
    after: Side
    predicted_sigma_F: np.ndarray | None
    E: np.ndarray = field(repr=False)
    space_group: str
    friedel: bool

    def as_dict(self) -> dict:
        """Give the merging statistics as they go into the JSON file."""
        return {
            "space_group": self.space_group,
            "friedel_mates_merged": self.friedel,
            "weights": "1/sigma^2",
            "cc_half_method": "sigma_tau",
            "before": self.before.statistics.as_dict(),
            "after": self.after.statistics.as_dict(),
            "r_merge_by_crystal": {
                "before": self.before.r_merge_crystal,
                "after": self.after.r_merge_crystal,
            },
        }

    def most_changed(self, n: int) -> np.ndarray:
        """Number the n reflections whose |F| changed most, the largest change first."""
        return np.argsort(-np.abs(self.after.F - self.before.F), kind="stable")[:n]


def compare(result: CorrectionResult) -> BeforeAfter:
    """
    Put the data before a correction beside those after.

    Args:
        result: The correction.
    """
    prepared, factors = result.subject.prepared, result.factors
    measured = prepared.measured
    d_spacing = 1 / np.sqrt(measured.d_star_sq)
    possible = possible_reflections(
        measured.unit_cell,
        measured.space_group,
        measured.friedel,
        d_spacing.max(),
        d_spacing.min(),
    )

    def side(intensity: np.ndarray, sigma: np.ndarray) -> Side:
        unique, crystal = measured.unique, measured.crystal
        merged = merge(intensity, sigma**2, unique, measured.n_unique, 1 / sigma**2)
        known = np.where(np.isfinite(merged.intensity), merged.intensity, 0.0)
        N = normalise(known, measured.d_star_sq, measured.epsilon).N
        of = (intensity, sigma, unique)
        return Side(
            intensity=known,
            F=amplitudes(known),
            sigma_F=amplitude_sigma(known, merged.sigma),
            z=known / N,
            statistics=merging_statistics(*of, d_spacing, possible),
            r_merge_crystal=r_merge_by_group(*of, crystal, measured.n_crystals),
        )

    scaled = (prepared.scaled.intensity, prepared.scaled.sigma)
    return BeforeAfter(
        miller_index=measured.unique_index,
        d_spacing=d_spacing,
        epsilon=measured.epsilon,
        centric=measured.centric,
        n=prepared.n,
        factor=group_medians(factors.factor, measured.unique, measured.n_unique),
        has_offset=~factors.reached & (result.strength > 0),
        before=side(*scaled),
        after=side(*factors.apply(*scaled)),
        predicted_sigma_F=result.estimate.sigma_F if result.strength == 1 else None,
        E=prepared.E_k,
        space_group=str(measured.space_group.info()),
        friedel=bool(measured.friedel),
    )
