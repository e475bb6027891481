"""
Whether a reference is of the measured compound, and in which setting.

R1 falls with every choice that is made, and amplitudes fall with resolution whatever
the compound. So R1 of the best setting is held against chance: the reference's own
amplitudes, shuffled within resolution shells, the best of as many trials as there are
settings. A reference of another compound is no better than that.

Functions:
    match_reference: amplitudes for the measured reflections, and what speaks for them
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import numpy as np

from cctbx import crystal, sgtbx, uctbx

from dials_spread.reference.files import Reference, reference_amplitudes
from dials_spread.reindexing import reindexed, reindexing_choices
from dials_spread.rfactor.merging import Merged, correlation
from dials_spread.rfactor.r1 import amplitudes, finite_or_none, r_factor
from dials_spread.rfactor.shells import resolution_shells, shuffled_within

logger = logging.getLogger("dials.spread.reference")

DRAWS = 100
"""Times that the amplitudes are shuffled."""

PER_SHELL = 40
"""Reflections in a shell within which they are shuffled, about."""

BELIEVED = 5.0
"""Standard deviations by which R1 must be below that of chance."""

FEWEST = 20
"""Reflections that a comparison needs."""


@dataclass(frozen=True)
class ReferenceSetting:
    """
    The measured data compared with the reference in one setting.

    Attributes:
        operator: From the indices of the data to those of the reference.
        r1: Of the merged intensities; nan where nothing can be compared.
        cc: Of intensities.
        n: Reflections compared.
        symmetric: Whether the reference has all symmetry that the data were merged in.
    """

    operator: str
    r1: float
    cc: float
    n: int
    symmetric: bool


@dataclass(frozen=True)
class ReferenceMatch:
    """
    A reference, brought onto the measured reflections.

    Attributes:
        settings: All settings that the cells allow, the best first.
        f_calc: Shape (u,), the amplitude of each unique reflection in the best
            setting; nan where the reference has none.
        chance_r1: R1 of shuffled amplitudes, the best of as many settings.
        chance_sd: Its standard deviation.
        draws: Number of times they were shuffled.
        warnings: Sentences for the user.
    """

    settings: tuple[ReferenceSetting, ...]
    f_calc: np.ndarray
    chance_r1: float
    chance_sd: float
    draws: int
    warnings: tuple[str, ...] = field(default=())

    @property
    def believed(self) -> bool:
        """Whether the reference agrees better than expected by chance."""
        return self.settings[0].r1 < self.chance_r1 - BELIEVED * self.chance_sd

    def as_dict(self) -> dict:
        """Give the settings and the control in what JSON can hold."""
        chance = finite_or_none(np.array([self.chance_r1, self.chance_sd]))
        return {
            "settings": [
                {
                    "operator": setting.operator,
                    "r1": finite_or_none(np.array([setting.r1]))[0],
                    "cc": finite_or_none(np.array([setting.cc]))[0],
                    "n": setting.n,
                    "symmetric": setting.symmetric,
                }
                for setting in self.settings
            ],
            "chance": {"r1": chance[0], "sd": chance[1], "draws": self.draws},
            "believed": bool(self.believed),
            "warnings": list(self.warnings),
        }


def match_reference(
    reference: Reference,
    merged: Merged,
    unique_index: np.ndarray,
    unit_cell: uctbx.unit_cell,
    space_group: sgtbx.space_group,
    rng: np.random.Generator,
) -> ReferenceMatch:
    """
    Bring a reference onto measured reflections.

    Args:
        reference: A structure or a list.
        merged: Intensities of u unique reflections; nan where there is none.
        unique_index: Shape (u, 3).
        unit_cell: Of the measured crystals.
        space_group: Of the measured crystals.
        rng: Source of random numbers, for the control.

    Returns:
        The best setting's amplitudes, R1 of all settings and of chance.

    Raises:
        ValueError: The cells do not fit, or there are too few reflections in common.
    """
    measured = crystal.symmetry(unit_cell=unit_cell, space_group=space_group)
    try:
        choices = reindexing_choices(measured, reference.symmetry)
    except ValueError as error:
        raise ValueError(
            f"{reference.source} is of another compound: {error}"
        ) from None
    f_o = amplitudes(merged.intensity)
    found = []
    for choice in choices:
        f_c = reference_amplitudes(reference, reindexed(unique_index, choice))
        r1, _, n = r_factor(f_o, f_c)
        cc = correlation(merged.intensity, f_c)
        found.append(
            (ReferenceSetting(choice.symbol, r1, cc, n, choice.symmetric), f_c)
        )
    # A handful of reflections may agree with anything.
    found.sort(key=lambda pair: (pair[0].n < FEWEST, pair[0].r1))
    settings = tuple(setting for setting, _ in found)
    if settings[0].n < FEWEST:
        raise ValueError(
            f"{reference.source} has amplitudes for {settings[0].n} of the "
            f"{len(unique_index)} measured reflections; {FEWEST} are needed"
        )
    f_calc = found[0][1]
    chance = _by_chance(f_o, f_calc, unique_index, unit_cell, len(settings), rng)
    match = ReferenceMatch(
        settings, f_calc, float(np.mean(chance)), float(np.std(chance)), len(chance)
    )
    told = tuple(_warnings(reference, match))
    for sentence in told:
        logger.warning(sentence)
    return ReferenceMatch(
        settings, f_calc, match.chance_r1, match.chance_sd, match.draws, told
    )


def _by_chance(
    f_o: np.ndarray,
    f_calc: np.ndarray,
    unique_index: np.ndarray,
    unit_cell: uctbx.unit_cell,
    n_settings: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Give R1 of shuffled amplitudes, the best of n_settings each time."""
    kept = np.isfinite(f_o) & np.isfinite(f_calc)
    f_o, f_c = f_o[kept], f_calc[kept]
    d = np.array([unit_cell.d(tuple(int(x) for x in h)) for h in unique_index[kept]])
    shells = resolution_shells(d, max(1, len(d) // PER_SHELL))
    return np.array(
        [
            min(
                r_factor(f_o, shuffled_within(f_c, shells.shell, rng))[0]
                for _ in range(n_settings)
            )
            for _ in range(DRAWS)
        ]
    )


def _warnings(reference: Reference, match: ReferenceMatch) -> list[str]:
    """Say what speaks against a reference."""
    best, told = match.settings[0], []
    source = reference.source
    if not match.believed:
        told.append(
            f"{source} seems to be of another compound: R1 is {best.r1:.3f}, and "
            f"{match.chance_r1:.3f}({1000 * match.chance_sd:.0f}) with its amplitudes "
            "shuffled within resolution shells."
        )
    elif best.operator != "h,k,l":
        told.append(
            f"{source} is in another setting than the data: indices are changed by "
            f"{best.operator} (R1 {best.r1:.3f})."
        )
    if len(match.settings) > 1 and match.believed:
        second = match.settings[1]
        if second.r1 - best.r1 < 2 * match.chance_sd:
            told.append(
                f"Two settings agree about equally well with {source}: "
                f"{best.operator} with R1 {best.r1:.3f}, {second.operator} with "
                f"{second.r1:.3f}."
            )
    if not best.symmetric:
        told.append(
            f"{source} has less symmetry than the data were merged in: reflections "
            "that differ in it were averaged."
        )
    if best.n < 0.5 * len(match.f_calc):
        told.append(
            f"{source} has amplitudes for {best.n} of {len(match.f_calc)} reflections."
        )
    return told
