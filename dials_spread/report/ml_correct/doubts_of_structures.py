"""
What makes a second correction doubtful, in words.

Functions:
    doubtful_structure: amplitudes that are not those of the data
    ends_of_range: thicknesses that were not found within the range
"""

from __future__ import annotations

from collections.abc import Sequence

from dials_spread.with_structure.crystal_shapes import SEARCH, CrystalShape

DOUBTED_R1 = 0.4
"""R1 against the first correction from which a given structure is doubted: complete ones of
five measured compounds have 0.14 to 0.24, those without 15 to 20 % of the atoms 0.31 to 0.46."""

NAMED = 5
"""Crystals that are named; of more their number is told."""

THICK = (
    "Of a wedge that is its thick side. A thicker crystal may agree better; wrong or "
    "incomplete structures and wrong orientations end there, too."
)
THIN = "With this structure no multiple scattering is seen there."


def doubtful_structure(source: str, r1: float) -> list[str]:
    """
    Doubt a structure whose amplitudes are not those of the data.

    Args:
        source: Name of its file.
        r1: Of |F| after the first correction against |F| of the structure.
    """
    if not r1 >= DOUBTED_R1:
        return []
    return [
        f"{source} is incomplete or wrong: R1 {r1:.2f} against the first correction. In "
        "measured compounds complete structures had 0.14 to 0.24, those without 15 to 20 % of "
        "the atoms 0.31 to 0.46, a single atom of five 0.68, and complete ones with atoms moved "
        "by 0.3 Å 0.43 to 0.65. The higher it is, the less certain are phases, and "
        "thicknesses fitted with them, also where held-out observations are predicted better."
    ]


def ends_of_range(crystals: Sequence[CrystalShape]) -> list[str]:
    """
    Say which thicknesses were not found within the range.

    Args:
        crystals: All of them.
    """
    told = []
    for end, limit, why in (
        ("upper", SEARCH.most, THICK),
        ("lower", SEARCH.least, THIN),
    ):
        own = [str(k) for k, one in enumerate(crystals) if one.at_end == end]
        if not own:
            continue
        which = f"crystal{'' if len(own) == 1 else 's'} {', '.join(own)}"
        if len(own) > NAMED:
            which = f"{len(own):,} of {len(crystals):,} crystals"
        told.append(
            f"Thickness at the {end} end of the range that was searched ({limit:,.0f} Å): "
            f"{which}. {why}"
        )
    return told
