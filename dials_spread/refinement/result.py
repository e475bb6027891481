"""
What a refinement gives.

Classes:
    Refinement: a refined structure and its figures
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, is_dataclass

import numpy as np

from cctbx import xray

from dials_spread.refinement.agreement import Outlier
from dials_spread.refinement.difference_map import Peak
from dials_spread.refinement.hydrogen import RidingGroup

# Fields that no dict holds.
NOT_LISTED = ("structure", "reference", "groups", "covariance")

# So many outliers are listed in a dict.
LISTED = 50


@dataclass(frozen=True)
class Refinement:
    """
    A refined structure and its figures.

    Attributes:
        structure: The refined structure, with electron form factors.
        reference: The reference, likewise.
        groups: How hydrogen rides.
        anisotropic: Whether displacements of atoms other than hydrogen are.
        n_parameters: Refined, with the scale and without origins that float.
        n_observations: Reflections fitted.
        n_strong: Strong ones among them.
        n_left_out: Reflections without use.
        r1_strong: Σ ||Fo| - |Fc|| / Σ |Fo| of strong reflections.
        r1_all: Of all that were fitted.
        n_held_out: Reflections that were held out.
        r1_held_out: R1 of these; nan where there are none.
        wr2: √(Σ w (Fo² - Fc²)² / Σ w (Fo²)²).
        goodness_of_fit: √(Σ w (Fo² - Fc²)² / (n - p)).
        weights: a and b of SHELXL's WGHT; b on the scale of F² [Å²].
        scale: Measured intensities over F² [1/Å²].
        converged: Whether the refinement ended well.
        reason: Why not; empty otherwise.
        n_cycles: Made.
        shifts: Of each atom other than hydrogen from the reference, by label [Å]; the
            mean shift along polar axes is taken out.
        mean_shift: Mean of these [Å].
        largest_shift: Largest of these [Å].
        mean_su: Mean standard uncertainty of a coordinate [Å], of atoms other than
            hydrogen; nan where the normal matrix is singular.
        bond_rms: Root mean square difference of bond lengths from the reference [Å],
            between atoms other than hydrogen; nan without bonds.
        n_bonds: Number of bonds.
        nonpositive: Labels of atoms whose displacements are not positive definite.
        at_floor: Labels of atoms whose isotropic U is held at its floor of 0.001 Å².
        map_sigma: Standard deviation of the difference map Fo - Fc [V].
        highest_peak: Of this map; None for a map that is flat.
        lowest_peak: Its deepest hole; None for a map that is flat.
        peaks: The highest ones, in falling order.
        outliers: Reflections with |Fo² - Fc²| √w > 10, the largest first.
        r1_without_outliers: R1 of all that were fitted but these. To refine without them,
            hold them out.
        warnings: What a reader of the figures must know.
        covariance: Of the parameters of all atoms, in their order: site, then U; None
            where the normal matrix is singular.
    """

    structure: xray.structure
    reference: xray.structure
    groups: tuple[RidingGroup, ...]
    anisotropic: bool
    n_parameters: int
    n_observations: int
    n_strong: int
    n_left_out: int
    r1_strong: float
    r1_all: float
    n_held_out: int
    r1_held_out: float
    wr2: float
    goodness_of_fit: float
    weights: tuple[float, float]
    scale: float
    converged: bool
    reason: str
    n_cycles: int
    shifts: dict[str, float]
    mean_shift: float
    largest_shift: float
    mean_su: float
    bond_rms: float
    n_bonds: int
    nonpositive: tuple[str, ...]
    at_floor: tuple[str, ...]
    map_sigma: float
    highest_peak: Peak | None
    lowest_peak: Peak | None
    peaks: tuple[Peak, ...]
    outliers: tuple[Outlier, ...]
    r1_without_outliers: float
    warnings: tuple[str, ...]
    covariance: np.ndarray | None = None

    @property
    def n_nonpositive(self) -> int:
        """Atoms whose displacements are not positive definite."""
        return len(self.nonpositive)

    @property
    def n_outliers(self) -> int:
        """Reflections with |Fo² - Fc²| √w > 10."""
        return len(self.outliers)

    def as_dict(self) -> dict:
        """Give all but the structure; what is not finite becomes None."""
        plain: dict = {
            field.name: as_plain(getattr(self, field.name))
            for field in fields(self)
            if field.name not in NOT_LISTED
        }
        plain["outliers"] = plain["outliers"][:LISTED]
        plain["n_outliers"] = self.n_outliers
        plain["n_nonpositive"] = self.n_nonpositive
        return plain


def as_plain(value):
    """
    Give a result as JSON can hold it.

    Args:
        value: A number, a text, or a dataclass, dict or sequence of these.

    Returns:
        The same with lists for sequences and dicts for dataclasses; None for what is not
        finite.
    """
    if is_dataclass(value):
        return {f.name: as_plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, dict):
        return {key: as_plain(one) for key, one in value.items()}
    if isinstance(value, (tuple, list)):
        return [as_plain(one) for one in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value
