"""
What a cell holds: a composition as users write it, and how many formula units.

Functions:
    parse_composition: "C 8 H 9 N 1 O 2" or "C8H9NO2"
    formula_units: Z from the volume of the cell
"""

from __future__ import annotations

import re

import numpy as np

from cctbx import sgtbx, uctbx

from dials_spread.scattering.form_factors import known_elements

VOLUME_PER_ATOM = 18.0
"""Of atoms other than hydrogen in molecular crystals, roughly [Å³]."""

SMALLEST_VOLUME = 5.0
"""Of an atom other than hydrogen [Å³]: diamond, the densest of atoms, has 5.7."""

_WORDS = re.compile(r"\s*([A-Z][a-z]?)\s*(\d+(?:\.\d+)?)?\s*[,;]?")


def parse_composition(text: str) -> dict[str, float]:
    """
    Read the composition of a formula unit.

    Args:
        text: Elements, each with its number or without (one): "C 8 H 9 N 1 O 2",
            "C8H9NO2", "Si O2".

    Returns:
        The number of atoms by element, in the order given.

    Raises:
        ValueError: It cannot be read, names what has no electron form factor, an element
            twice, or nothing but hydrogen.
    """
    found: dict[str, float] = {}
    position = 0
    stripped = text.strip()
    while position < len(stripped):
        match = _WORDS.match(stripped, position)
        if not match:
            raise ValueError(
                f"composition={text!r} cannot be read from {stripped[position:]!r}; "
                "an example is C 8 H 9 N 1 O 2"
            )
        element, number = match[1], float(match[2] or 1)
        element = "H" if element == "D" else element
        if element not in known_elements():
            raise ValueError(f"composition={text!r}: {element} is no element")
        if element in found:
            raise ValueError(f"composition={text!r}: {element} stands there twice")
        if not number > 0:
            raise ValueError(f"composition={text!r}: {number:g} atoms of {element}")
        found[element] = number
        position = match.end()
    if not set(found) - {"H"}:
        raise ValueError(f"composition={text!r}: no atom but hydrogen")
    return found


def without_hydrogen(composition: dict[str, float]) -> dict[str, float]:
    """Leave out what peaks are not searched for."""
    return {key: n for key, n in composition.items() if key != "H"}


def formula_units(
    composition: dict[str, float],
    unit_cell: uctbx.unit_cell,
    space_group: sgtbx.space_group,
) -> int:
    """
    Estimate Z: 18 Å³ for each atom that is not hydrogen.

    Of all Z for which the atoms of each element can be placed, the nearest by ratio: each
    number must be a multiple of what all multiplicities of the space group share.

    Args:
        composition: Of a formula unit.
        unit_cell: The cell.
        space_group: The space group.

    Raises:
        ValueError: The cell is too small for one formula unit.
    """
    heavy = without_hydrogen(composition)
    each = unit_cell.volume() / sum(heavy.values())
    if each < SMALLEST_VOLUME:
        raise ValueError(
            f"{sum(heavy.values()):g} atoms other than hydrogen do not go into a cell of "
            f"{unit_cell.volume():.0f} Å³: {each:.1f} Å³ each, where {VOLUME_PER_ATOM:g} "
            "are usual"
        )
    wanted = each / VOLUME_PER_ATOM
    table = space_group.info().type().group().info().wyckoff_table()
    shared = int(
        np.gcd.reduce([table.position(i).multiplicity() for i in range(table.size())])
    )
    possible = [
        Z
        for Z in range(1, max(2 * space_group.order_z(), round(4 * wanted)) + 1)
        if all(
            abs(n * Z / shared - round(n * Z / shared)) < 1e-6 for n in heavy.values()
        )
    ]
    if not possible:
        return max(1, round(wanted))
    # Nearly the same ratio: the number of general positions is the most common.
    return min(
        possible,
        key=lambda Z: abs(np.log(Z / wanted)) - 0.05 * (Z == space_group.order_z()),
    )
