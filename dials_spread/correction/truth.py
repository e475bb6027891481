"""
R1 before and after a correction, against a reference that is taken for the truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cctbx import crystal

from dials_spread.ml.merging import Prepared
from dials_spread.observations import Observations
from dials_spread.reference import (
    Reference,
    ReferenceMatch,
    match_reference,
    read_reference,
)
from dials_spread.rfactor import Assessment, assess, merge


@dataclass(frozen=True)
class Truth:
    """
    What a reference says of a correction.

    Attributes:
        reference: The file.
        match: Its amplitudes, brought onto the data.
        before: Of the plain mean of equivalents, with equal weights.
        before_weighted: Of the mean with weights 1/σ², as dials.merge makes it.
        after: Of corrected intensities, merged with weights 1/σ².
        label: "integrated" or "scaled": what was compared.
    """

    reference: Reference
    match: ReferenceMatch
    before: Assessment
    before_weighted: Assessment
    after: Assessment
    label: str

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
        }


def find_reference(
    observations: Observations, source: str, column: str | None = None
) -> Reference:
    """
    Read a reference, with the symmetry of the data for files that have none.

    Args:
        observations: Of all crystals.
        source: A file, or the name of a built-in structure.
        column: Label of the column of a list.

    Raises:
        ValueError: It cannot be read.
    """
    symmetry = crystal.symmetry(
        unit_cell=observations.unit_cell, space_group=observations.space_group
    )
    return read_reference(source, symmetry, column=column)


def match(
    reference: Reference, prepared: Prepared, rng: np.random.Generator
) -> ReferenceMatch:
    """
    Bring a reference onto the data.

    Args:
        reference: Amplitudes taken for the truth.
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


def compare_with_truth(
    observations: Observations,
    prepared: Prepared,
    factor: np.ndarray,
    reference: Reference,
    rng: np.random.Generator,
) -> Truth:
    """
    Compare intensities with a reference before and after a correction.

    Args:
        observations: Of all crystals.
        prepared: The same, scaled.
        factor: Shape (n,), of intensities.
        reference: Amplitudes taken for the truth.
        rng: Source of random numbers, for the control.

    Raises:
        ValueError: The reference is of another compound.
    """
    found = match(reference, prepared, rng)
    plain = (prepared.intensity, prepared.sigma**2)
    corrected = (prepared.intensity * factor, (prepared.sigma * factor) ** 2)
    return Truth(
        reference=reference,
        match=found,
        before=assess(observations, found.f_calc, *plain),
        before_weighted=assess(observations, found.f_calc, *plain, weighted=True),
        after=assess(observations, found.f_calc, *corrected, weighted=True),
        label="scaled" if observations.scaled else "integrated",
    )
