"""
Whether a structure is one of the measured crystals, and in which setting.

Functions:
    lay_on_data: the reindexing operator, and what speaks against the structure
    group_warnings: that the data are in another space group
    refuse_others: stills, and other radiation than electrons
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cctbx import crystal, sgtbx, xray
from dxtbx.model import Experiment

from dials_spread.correction.apply.against_reference import match
from dials_spread.correction.apply.subject import Subject
from dials_spread.prepare.normalisation import ATOM_VOLUME
from dials_spread.reference import Reference, ReferenceMatch
from dials_spread.reindexing import Reindexing, reindexing_choices
from dials_spread.scattering.form_factors import parse_type
from dials_spread.scattering.structure_factors import MIN_D_SPACING
from dials_spread.structures.structure_checks import check_structure
from dials_spread.symmetry import same_group
from dials_spread.versions import is_still, probe

logger = logging.getLogger("dials.spread.provisional")

FEW, MANY = 0.6, 1.6
"""Atoms other than hydrogen, relative to one in 18 Å³: outside, it is told."""

ORGANIC = ("C", "N", "O")


@dataclass(frozen=True)
class LaidOnData:
    """
    A structure on the data.

    Attributes:
        structure: The structure.
        choice: From the indices of the data to those of the structure.
        match: Amplitudes of the structure, R1 of all settings and of chance.
        warnings: Sentences for the user.
    """

    structure: xray.structure
    choice: Reindexing
    match: ReferenceMatch
    warnings: tuple[str, ...]


def lay_on_data(
    structure: xray.structure, source: str, subject: Subject, rng: np.random.Generator
) -> LaidOnData:
    """
    Find the setting of a structure, and refuse one of another compound.

    Args:
        structure: As read.
        source: Name of its file.
        subject: The data.
        rng: Source of random numbers, for the control.

    Raises:
        ValueError: It is of another compound, with R1 of each reindexing operator; or
            cannot be used.
    """
    measured = subject.prepared.measured
    check_structure(structure, MIN_D_SPACING)
    symmetry = structure.crystal_symmetry()
    reference = Reference(source, symmetry, structure, None, "structure")
    found = match(reference, subject.prepared, rng)
    if not found.believed:
        raise ValueError(
            f"structure={source} does not agree with the data better than chance: "
            f"{_settings(found)}; shuffled within resolution shells "
            f"{found.chance_r1:.3f} ± {found.chance_sd:.3f}. It is of another compound, or "
            "too incomplete to give phases"
        )
    here = crystal.symmetry(measured.unit_cell, space_group=measured.space_group)
    choices = {c.symbol: c for c in reindexing_choices(here, symmetry)}
    choice = choices[found.settings[0].operator]
    told = [
        *found.warnings,
        *_content_warnings(structure, source),
        *group_warnings(structure, source, choice, measured.space_group),
    ]
    if len(found.settings) > 1:
        logger.info("R1 of %s by reindexing operator: %s", source, _settings(found))
    return LaidOnData(structure, choice, found, tuple(told))


def refuse_others(experiments: Sequence[Experiment]) -> None:
    """
    Refuse crystals that did not rotate, and other radiation than electrons.

    Args:
        experiments: One a crystal.

    Raises:
        ValueError: Some did not, or were not measured with electrons.
    """
    kinds = {probe(e.beam) for e in experiments} - {"electrons"}
    if kinds:
        raise ValueError(
            "structure= corrects multiple scattering of electrons: the data are of "
            + " and ".join(sorted(kinds))
        )
    n = sum(is_still(e) for e in experiments)
    if n:
        raise ValueError(
            f"structure= needs crystals that rotate: {n} of {len(experiments)} are stills, "
            "whose intensities are not integrated over a rocking curve. Leave it out to "
            "correct without a structure"
        )


def _settings(found: ReferenceMatch) -> str:
    return ", ".join(f"R1 {s.r1:.3f} with {s.operator}" for s in found.settings[:6])


def _content_warnings(structure: xray.structure, source: str) -> list[str]:
    """Say what the structure seems to lack, or to have too much of."""
    told = []
    kinds = [parse_type(s.scattering_type)[0] for s in structure.scatterers()]
    if "H" not in kinds and sum(k in ORGANIC for k in kinds) > 0.5 * len(kinds):
        if "C" in kinds:
            told.append(
                f"{source} has no hydrogen, which scatters some 10 % of what carbon "
                "does: phases are a little less certain."
            )
    heavy = sum(
        s.multiplicity() * s.occupancy
        for s, kind in zip(structure.scatterers(), kinds)
        if kind != "H"
    )
    volume = structure.unit_cell().volume()
    ratio = heavy * ATOM_VOLUME / volume
    if not FEW < ratio < MANY and "C" in kinds:
        told.append(
            f"{source} has {heavy:.0f} atoms other than hydrogen in {volume:,.0f} Å³, where "
            f"{volume / ATOM_VOLUME:.0f} are usual: is it complete?"
        )
    for sentence in told:
        logger.warning(sentence)
    return told


def group_warnings(
    structure: xray.structure, source: str, choice: Reindexing, own: sgtbx.space_group
) -> list[str]:
    """
    Say that the data are in another space group than the structure.

    Args:
        structure: The structure.
        source: Name of its file.
        choice: From the indices of the data to those of the structure.
        own: Space group of the data.

    Returns:
        A sentence that gives that of the structure in the setting of the data; none where
        both are the same, or of either hand.
    """
    if not choice.symmetric:
        return []
    try:
        there = sgtbx.change_of_basis_op(choice.symbol).inverse()
        info = structure.space_group_info().change_basis(there)
        if any(same_group(own, one.group()) for one in (info, info.change_hand())):
            return []
    except RuntimeError:  # cctbx: another centring, which has no symbol on these axes
        return []
    told = (
        f"{source} is in {info}, the data are in {sgtbx.space_group_info(group=own)}. What is "
        "written of the data keeps their space group, refined files have that of the "
        "structure. Where that is right, give it to the data first: dials.reindex with "
        f'space_group="{info}".'
    )
    logger.warning(told)
    return [told]
