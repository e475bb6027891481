"""
The ways in which a structure can be laid on a measured lattice.

A structure in another setting than the data, or on a lattice that can be indexed in
several ways, simulates nonsense without any complaint. So every way is compared with the
data by its R1, crystal by crystal. The hand of the structure shows in multiple scattering
alone.

Functions:
    score_settings: R1 of each choice
    laid_on: a scan in the indices of the structure
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np

from cctbx import crystal, xray

from dials_spread.observations import Observations
from dials_spread.reindexing import Reindexing, reindexing_choices
from dials_spread.rfactor import r_factors
from dials_spread.rfactor.r1 import finite_or_none
from dials_spread.scattering.scans import RotationScan
from dials_spread.scattering.structure_factors import structure_factors

logger = logging.getLogger("dials.spread.settings")

# Another setting is taken where its R1 is lower than that of the structure as given by
# this much.
CLEARLY = 0.01


@dataclass(frozen=True)
class StructureSetting:
    """
    One way to lay a structure on the data, and how well they agree.

    Attributes:
        choice: The operator from indices of the data to those of the structure.
        r1: Of the observations of all crystals with kinematic amplitudes, each crystal
            with its own scale.
        crystal_r1: Shape (crystals,), nan for crystals without observations.
    """

    choice: Reindexing
    r1: float
    crystal_r1: np.ndarray

    def as_dict(self) -> dict:
        """For JSON."""
        return {
            "operator": self.choice.symbol,
            "r1": finite_or_none([self.r1])[0],
            "crystal_r1": finite_or_none(self.crystal_r1),
        }


def whole_indices(
    miller_index: np.ndarray, choice: Reindexing
) -> tuple[np.ndarray, np.ndarray]:
    """
    Indices in the structure's setting.

    Args:
        miller_index: Shape (n, 3), of the data.
        choice: From the data to the structure.

    Returns:
        Shape (n, 3), int; and shape (n,), whether there is such an index: a centred
        cell has none for some of those of another cell.
    """
    moved = np.asarray(miller_index, dtype=float) @ choice.on_indices.T
    whole = np.rint(moved)
    return whole.astype(int), np.all(np.abs(moved - whole) < 0.01, axis=1)


def laid_on(scan: RotationScan, choice: Reindexing) -> RotationScan:
    """The scan for indices in the structure's setting: A h = (A M⁻¹)(M h)."""
    inverse = np.linalg.inv(choice.on_indices)
    settings = None if scan.settings is None else scan.settings @ inverse
    return replace(scan, A=scan.A @ inverse, settings=settings)


def score_settings(
    structure: xray.structure, measured: Observations
) -> list[StructureSetting]:
    """
    Compare kinematic amplitudes with the data in every setting.

    Args:
        structure: The structure.
        measured: The observations, with the Lorentz factor applied.

    Returns:
        One for each setting, indices unchanged first where they are possible.

    Raises:
        ValueError: The cells do not fit.
    """
    here = crystal.symmetry(measured.unit_cell, space_group=measured.space_group)
    choices = reindexing_choices(here, structure.crystal_symmetry())
    distinct, number = np.unique(measured.miller_index, axis=0, return_inverse=True)
    number = np.ravel(number)
    settings = []
    for choice in choices:
        hkl, exists = whole_indices(distinct, choice)
        f_c = np.full(len(distinct), np.nan)
        f_c[exists] = np.abs(structure_factors(structure, hkl[exists]))
        settings.append(_score(choice, measured, f_c[number]))
    return settings


def _score(
    choice: Reindexing, measured: Observations, f_c: np.ndarray
) -> StructureSetting:
    found = r_factors(
        measured.intensity,
        measured.sigma,
        f_c,
        measured.crystal,
        measured.n_experiments,
    )
    total = np.bincount(
        measured.crystal, np.nan_to_num(f_c), minlength=measured.n_experiments
    )
    known = np.isfinite(found.r1)
    r1 = np.average(found.r1[known], weights=total[known]) if known.any() else np.nan
    return StructureSetting(choice, float(r1), found.r1)


def choose_setting(settings: list[StructureSetting], setting: str = "auto") -> int:
    """
    Choose one of the settings, and say what speaks against it.

    Args:
        settings: From `score_settings`.
        setting: "auto" takes another than the first where it agrees clearly better;
            "given" takes the first.

    Returns:
        Its number.
    """
    r1 = np.nan_to_num([s.r1 for s in settings], nan=np.inf)
    best = int(np.argmin(r1))
    if r1[best] > r1[0] - CLEARLY:
        best = 0
    if best and setting == "given":
        logger.warning(
            "R1 is %.3f with the structure as given and %.3f after %s: is it in the "
            "setting of the data?",
            r1[0],
            r1[best],
            settings[best].choice.symbol,
        )
        return 0
    if best:
        logger.warning(
            "Reindexing operator %s brings the structure to the data: R1 %.3f, instead of "
            "%.3f with %s.",
            settings[best].choice.symbol,
            r1[best],
            r1[0],
            settings[0].choice.symbol,
        )
    _warn_of_odd_crystals(settings, best)
    return best


def _warn_of_odd_crystals(settings: list[StructureSetting], chosen: int) -> None:
    """Say which crystals are indexed in another way than most."""
    table = np.array([s.crystal_r1 for s in settings])
    table = np.where(np.isfinite(table), table, np.inf)
    for number, column in enumerate(table.T):
        best = int(np.argmin(column))
        if column[best] < column[chosen] - 2 * CLEARLY:
            logger.warning(
                "Crystal %d agrees better after %s (R1 %.3f instead of %.3f): it may be "
                "indexed in another way than the others (dials.cosym).",
                number,
                settings[best].choice.symbol,
                column[best],
                column[chosen],
            )
