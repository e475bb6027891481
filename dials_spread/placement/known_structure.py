"""
The structure that branches are compared with, brought onto their reflections.

Functions:
    check_structure_file: whether it can be read
    check_fits: whether its cell is that of the crystals
    find_structure: read a structure and match it
    intensity_array: merged intensities of a branch in the setting of the structure
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cctbx import crystal, miller, xray
from dxtbx.model import Experiment

from dials_spread.observations.builder import reference_cell
from dials_spread.placement.common_set import CommonSet
from dials_spread.reference import Reference, ReferenceMatch, match_reference
from dials_spread.reference.files import read_reference
from dials_spread.refinement.merged_data import in_setting_of
from dials_spread.reindexing import Reindexing, reindexing_choices
from dials_spread.rfactor.merging import Merged

CELLS_DIFFER = 0.015
"""Part by which axes may differ without a word: cells of electrons are known to 1 %."""


@dataclass(frozen=True)
class KnownStructure:
    """
    A structure and its amplitudes.

    Attributes:
        reference: The file.
        match: How it was brought onto the data, with the R1 of each setting.
        choice: From indices of the data to those of the structure.
        f_calc: Shape (u,) [Å], kinematic amplitudes of electrons.
        solved_from: The branch that it was solved from here; empty where it was given.
        how_sure: Of a structure that was solved here, in a sentence.
    """

    reference: Reference
    match: ReferenceMatch
    choice: Reindexing
    f_calc: np.ndarray
    solved_from: str = ""
    how_sure: str = ""

    @property
    def structure(self) -> xray.structure:
        """The atoms."""
        structure = self.reference.structure
        assert structure is not None  # find_structure refuses lists
        return structure


def check_structure_file(
    source: str, symmetry: crystal.symmetry, block: str | None = None
) -> Reference:
    """
    Read a structure.

    Args:
        source: CIF, SHELX .ins or .res, PDB, or the name of a built-in structure.
        symmetry: Cell and space group of the data.
        block: The data block of a CIF that holds several structures.

    Raises:
        ValueError: It cannot be read, or holds no atoms.
    """
    try:
        reference = read_reference(source, symmetry, block=block)
    except ValueError as error:
        told = str(error).replace(f"reference={source}", f"structure={source}")
        raise ValueError(told) from None
    if reference.structure is None:
        raise ValueError(
            f"structure={source} has no atoms: a structure is refined here, so a list of "
            "amplitudes does not serve"
        )
    return reference


def check_fits(
    source: str, experiments: Sequence[Experiment], block: str | None = None
) -> None:
    """
    Refuse a structure whose cell is not that of the crystals, before anything is run.

    Args:
        source: As for check_structure_file.
        experiments: One a crystal, of one space group.
        block: The data block of a CIF that holds several structures.

    Raises:
        ValueError: It cannot be read, or the cells do not fit.
    """
    symmetry = crystal.symmetry(
        unit_cell=reference_cell(experiments),
        space_group=experiments[0].crystal.get_space_group(),
    )
    reference = check_structure_file(source, symmetry, block)
    try:
        reindexing_choices(symmetry, reference.symmetry)
    except ValueError as error:
        raise ValueError(f"{source} is of another compound: {error}") from None


def find_structure(
    reference: Reference,
    common: CommonSet,
    rng: np.random.Generator,
    solved_from: str = "",
    how_sure: str = "",
) -> KnownStructure:
    """
    Bring a structure onto the data.

    Args:
        reference: From check_structure_file.
        common: All branches.
        rng: For the control by chance.
        solved_from: Name of the branch where it was solved here.
        how_sure: That, in a sentence.

    Raises:
        ValueError: It is of another compound.
    """
    observations = next(iter(common.data.values())).observations
    # The mean over branches: which setting is right is no question of the correction.
    levels = [m.intensity / np.nanmean(m.intensity) for m in common.merged.values()]
    counted = np.isfinite(levels).sum(axis=0)
    mean = np.where(
        counted > 0, np.nansum(levels, axis=0) / np.maximum(counted, 1), np.nan
    )
    merged = Merged(mean, np.ones(len(mean)), counted)
    match = match_reference(
        reference,
        merged,
        common.unique_index,
        observations.unit_cell,
        observations.space_group,
        rng,
    )
    measured = crystal.symmetry(
        unit_cell=observations.unit_cell, space_group=observations.space_group
    )
    choices = reindexing_choices(measured, reference.symmetry)
    choice = next(c for c in choices if c.symbol == match.settings[0].operator)
    told = _cells_differ(reference, measured)
    if told:
        match = replace(match, warnings=(*match.warnings, told))
    return KnownStructure(reference, match, choice, match.f_calc, solved_from, how_sure)


def _cells_differ(reference: Reference, measured: crystal.symmetry) -> str:
    """Warn where the cells differ by more than they do between experiments."""
    cells = [s.niggli_cell().unit_cell() for s in (reference.symmetry, measured)]
    theirs, ours = (np.array(cell.parameters()[:3]) for cell in cells)
    apart = float(np.abs(theirs / ours - 1).max())
    if apart < CELLS_DIFFER:
        return ""
    return (
        f"The reduced cell of {reference.source} ({theirs[0]:.3f}, {theirs[1]:.3f}, "
        f"{theirs[2]:.3f} Å) differs by up to {100 * apart:.1f} % from that of the data "
        f"({ours[0]:.3f}, {ours[1]:.3f}, {ours[2]:.3f} Å): bond lengths and shifts are in "
        "its cell, and resolutions are off by as much."
    )


def intensity_array(
    known: KnownStructure, common: CommonSet, merged: Merged
) -> tuple[miller.array, np.ndarray]:
    """
    Give merged intensities in the setting of the structure.

    Args:
        known: The structure.
        common: All branches.
        merged: Of one of them.

    Returns:
        Intensities with σ, each reflection once; and shape (reflections,), the number of
        each in the common list. Systematic absences of the structure are left out, and
        of reflections that are equivalent in it alone the first is taken.
    """
    there = np.flatnonzero((merged.n > 0) & np.isfinite(known.f_calc))
    array, kept = in_setting_of(
        known.structure,
        common.unique_index[there],
        known.choice,
        merged.intensity[there],
        merged.sigma[there],
    )
    return array, there[kept]
