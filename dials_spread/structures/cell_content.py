"""
What a unit cell holds, compared with what its file says it holds.

Functions:
    cell_content: atoms of each element in the cell of a structure
    formula_content: those of a chemical formula, times the formula units
    differing: elements whose numbers differ
    as_formula: numbers of atoms as one reads them
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping

from cctbx import xray

# Occupancies are told to two or three places, and formulas to one.
RELATIVE, ABSOLUTE = 0.02, 0.15

_PART = re.compile(r"([A-Z][a-z]?)(\d+\.?\d*|\.\d+)?(?![a-z\d])")
ISOTOPES = {"D": "H", "T": "H"}
"""Isotopes of hydrogen scatter as it does."""


def cell_content(structure: xray.structure) -> dict[str, float]:
    """Atoms of each element in the cell; isotopes of hydrogen are hydrogen."""
    counted: dict[str, float] = defaultdict(float)
    for atom in structure.scatterers():
        element = re.sub(r"[^A-Za-z].*", "", atom.scattering_type.strip())
        element = element.capitalize()[:2]
        element = ISOTOPES.get(element, element)
        counted[element] += atom.multiplicity() * atom.occupancy
    return dict(counted)


def formula_content(formula: str, units: float = 1.0) -> dict[str, float]:
    """
    Atoms of each element in a formula.

    Args:
        formula: As in a CIF: "C2 H5 N O2".
        units: Formula units in the cell.
    """
    counted: dict[str, float] = defaultdict(float)
    for word in formula.split():
        for element, number in _PART.findall(word):
            element = ISOTOPES.get(element, element)
            counted[element] += units * float(number or 1)
    return dict(counted)


def differing(read: Mapping[str, float], told: Mapping[str, float]) -> list[str]:
    """Elements of which there are more or fewer than was told."""
    return sorted(
        element
        for element in {*read, *told}
        if abs(read.get(element, 0) - told.get(element, 0))
        > max(ABSOLUTE, RELATIVE * told.get(element, 0))
    )


def as_formula(content: Mapping[str, float]) -> str:
    """Give "C8 H20 N4 O8": carbon and hydrogen first, then by the alphabet."""
    order = sorted(content, key=lambda e: (e != "C", e != "H" or "C" not in content, e))
    return " ".join(f"{e}{round(content[e], 2):g}" for e in order if content[e]) or "-"
