"""
R1 before and after a correction, against a reference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cctbx import crystal

from dials_spread.correction.apply.error_law import Coverage, coverage
from dials_spread.correction.apply.estimates import Factors
from dials_spread.observations import Observations
from dials_spread.observations.builder import Integrated
from dials_spread.prepare.prepared import Prepared
from dials_spread.reference import (
    Reference,
    ReferenceMatch,
    match_reference,
    read_reference,
)
from dials_spread.rfactor import (
    Assessment,
    RFactors,
    assess,
    merge,
    r_factor,
    r_factors,
)
from dials_spread.rfactor.assessment import merge_by_crystal


@dataclass(frozen=True)
class Amplitudes:
    """
    What was corrected, in the forms that are compared.

    Attributes:
        factors: Of intensities on one scale.
        integrated: Before scaling; None where the tables have none.
        F: Shape (u,), corrected amplitudes at full strength.
        sigma_F: Shape (u,), their predicted standard deviations; None where not known.
    """

    factors: Factors
    integrated: Integrated | None
    F: np.ndarray
    sigma_F: np.ndarray | None


@dataclass(frozen=True)
class ReferenceCheck:
    """
    What a reference says of a correction.

    Attributes:
        reference: The file.
        match: Its amplitudes, brought onto the data.
        before: Of the plain mean of equivalents, with equal weights.
        before_weighted: Of the mean with weights 1/σ², as dials.merge makes it.
        after: Of corrected intensities, merged with weights 1/σ².
        integrated: R1 of each crystal before and after, from intensities as they were
            integrated, before any scaling; None where there are none.
        coverage: Whether the predicted errors are as large as the true ones; None where
            nothing is predicted.
    """

    reference: Reference
    match: ReferenceMatch
    before: Assessment
    before_weighted: Assessment
    after: Assessment
    integrated: tuple[RFactors, RFactors] | None
    coverage: Coverage | None

    @property
    def r1(self) -> tuple[float, float]:
        """R1 of merged intensities before, by equal weights, and after."""
        return float(self.before.merged.r1[0]), float(self.after.merged.r1[0])

    def as_dict(self) -> dict:
        """Give R1 before and after."""
        return {
            "before": self.before.as_dict(),
            "before_weighted": self.before_weighted.as_dict()["merged"],
            "after": self.after.as_dict(),
            "integrated_by_crystal": self.integrated
            and {
                "before": self.integrated[0].as_dict(),
                "after": self.integrated[1].as_dict(),
            },
            "predicted_errors": self.coverage and self.coverage.as_dict(),
        }


def find_reference(
    observations: Observations,
    source: str,
    column: str | None = None,
    block: str | None = None,
) -> Reference:
    """
    Read a reference, with the symmetry of the data for files that have none.

    Args:
        observations: Of all crystals.
        source: A file, or the name of a built-in structure.
        column: Label of the column of a list.
        block: The data block of a CIF that holds several.

    Raises:
        ValueError: It cannot be read.
    """
    symmetry = crystal.symmetry(
        unit_cell=observations.unit_cell, space_group=observations.space_group
    )
    return read_reference(source, symmetry, column=column, block=block)


def match(
    reference: Reference, prepared: Prepared, rng: np.random.Generator
) -> ReferenceMatch:
    """
    Bring a reference onto the data.

    Args:
        reference: Reference amplitudes.
        prepared: The data.
        rng: Source of random numbers, for the control.

    Raises:
        ValueError: It is of another compound.
    """
    measured = prepared.measured
    merged = merge(
        prepared.intensity, prepared.sigma**2, measured.unique, measured.n_unique
    )
    return match_reference(
        reference,
        merged,
        measured.unique_index,
        measured.unit_cell,
        measured.space_group,
        rng,
    )


def r1_of_crystals(
    observations: Observations,
    f_calc: np.ndarray,
    before: tuple[np.ndarray, np.ndarray],
    after: tuple[np.ndarray, np.ndarray],
    weighted: bool = True,
) -> tuple[RFactors, RFactors]:
    """
    Give R1 of each crystal on its own, before and after.

    Args:
        observations: n of u unique reflections.
        f_calc: Shape (u,), reference amplitudes.
        before: Intensities and variances, each of shape (n,), merged with equal weights;
            what is not finite is left out.
        after: Likewise.
        weighted: Merge those with weights 1/σ²; else with equal ones.
    """

    def one(pair: tuple[np.ndarray, np.ndarray], by_sigma: bool) -> RFactors:
        I, variance = pair
        known = np.isfinite(I) & (variance > 0)
        clean = np.where(known, I, 0.0), np.where(known, variance, 1.0)
        weight = np.where(known, 1 / clean[1] if by_sigma else 1.0, 0.0)
        own, crystal, unique = merge_by_crystal(observations, *clean, weight)
        n = len(observations.dataset)
        return r_factors(own.intensity, own.sigma, f_calc[unique], crystal, n)

    return one(before, False), one(after, weighted)


def compare_with_truth(
    observations: Observations,
    prepared: Prepared,
    accepted: np.ndarray,
    corrected: Amplitudes,
    reference: Reference,
    rng: np.random.Generator,
) -> ReferenceCheck:
    """
    Compare intensities with a reference before and after a correction.

    Args:
        observations: Of all crystals.
        prepared: The same, scaled.
        accepted: Shape (n,), bool: those that are compared before the correction, one at
            least of each reflection.
        corrected: What the correction made of them.
        reference: Reference amplitudes.
        rng: Source of random numbers, for the control.

    Raises:
        ValueError: The reference is of another compound.
    """
    found = match(reference, prepared, rng)
    factors, f_calc = corrected.factors, found.f_calc
    as_measured = prepared.with_damage
    given = observations if accepted.all() else observations.select(accepted)
    plain = (as_measured.intensity[accepted], as_measured.variance[accepted])
    I_after, sigma_after = factors.apply(prepared.intensity, prepared.sigma)
    after = (I_after, sigma_after**2)
    crystals = None
    if corrected.integrated is not None:
        I, variance, scale = corrected.integrated
        # Observations, and these, are on other scales than what offsets are added to.
        offset = factors.offset * scale * observations.sigma / prepared.sigma
        corrected_I = I * factors.factor + offset
        given_I = np.where(accepted, I, np.nan)
        both = (given_I, variance), (corrected_I, variance * factors.factor**2)
        crystals = r1_of_crystals(observations, f_calc, *both)
    return ReferenceCheck(
        reference=reference,
        match=found,
        before=assess(given, f_calc, *plain),
        before_weighted=assess(given, f_calc, *plain, weighted=True),
        after=assess(observations, f_calc, *after, weighted=True),
        integrated=crystals,
        coverage=_coverage(corrected, f_calc),
    )


def _coverage(corrected: Amplitudes, f_calc: np.ndarray) -> Coverage | None:
    if corrected.sigma_F is None:
        return None
    scale = r_factor(corrected.F, f_calc)[1]
    return coverage(scale * corrected.F - f_calc, scale * corrected.sigma_F)
