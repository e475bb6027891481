"""
Complete .ins files for SHELXT, SHELXL and Olex2.

Classes:
    Riding: hydrogen atoms that ride on one parent

Functions:
    instructions: the text of a file
    atom_lines: atoms as SHELXL reads them
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cctbx import adptbx, crystal, xray
from iotbx.shelx.write_ins import LATT_SYMM

from dials_spread.scattering.form_factors import parse_type
from dials_spread.shelx.form_factors_sfac import sfac

LONGEST_LABEL = 4
LONGEST_TITLE = 72

GUESSED_ERROR = "REM uncertainties in ZERR are not measured: put in your own"
FREE_HYDROGEN = (
    "REM hydrogen is refined freely: put in HFIX or AFIX for riding hydrogen"
)


@dataclass(frozen=True)
class Riding:
    """
    Hydrogen atoms that ride on one parent.

    Attributes:
        parent: Number of the atom.
        hydrogen: Numbers of its hydrogen atoms, in the order of SHELXL.
        afix: The code m n of AFIX.
        length: Bond length [Å]; None where the code has none.
        u_ratio: U of hydrogen over U(eq) of the parent.
    """

    parent: int
    hydrogen: tuple[int, ...]
    afix: int
    length: float | None
    u_ratio: float


def instructions(
    symmetry: crystal.symmetry,
    wavelength: float,
    contents: Mapping[str, float] | None = None,
    Z: float | None = None,
    *,
    title: str = "structure",
    cell_error: Sequence[float] | None = None,
    structure: xray.structure | None = None,
    temperature: float | None = None,
    n_cycles: int = 10,
    weights: Sequence[float] = (0.1,),
    program: str = "shelxl",
    scale: float = 1.0,
    riding: Sequence[Riding] = (),
) -> str:
    """
    Write the text of an .ins file.

    Args:
        symmetry: Cell and space group, its centre of symmetry, if any, at the origin.
        wavelength: [Å].
        contents: Atoms by element in a formula unit; by default those of the structure.
        Z: Formula units in the cell; by default general positions, and without contents 1
            for what the structure puts into the cell.
        title: One line.
        cell_error: Standard uncertainties of a, b, c [Å], α, β, γ [°]; by default, and
            where one is not finite, a thousandth of the axes, and of free angles 0.01°.
        structure: Atoms, in the same setting; without it the file is for a solution.
        temperature: [°C]; left out if not known.
        n_cycles: Of least squares.
        weights: Numbers of WGHT.
        scale: Intensities of the .hkl file over those of the structure, of which FVAR is
            the root.
        riding: Hydrogen of the structure that gets AFIX; all other is refined freely.
        program: "shelxl" (and Olex2) gets electron form factors, "shelxt" elements alone.

    Raises:
        ValueError: An element is not in contents, the space group has no setting in SHELX,
            or the program is not known.
    """
    if program not in ("shelxl", "shelxt"):
        raise ValueError(f"program={program!r} is neither shelxl nor shelxt")
    counts, Z = _in_cell(symmetry, contents, Z, structure)
    unit = "UNIT " + " ".join(f"{n:g}" for n in counts.values())
    error = [] if cell_error is None else [float(x) for x in cell_error]
    known = cell_error is not None and all(math.isfinite(x) for x in error)
    if not (known and error):
        error = _cell_error(symmetry)
    lines = [" ".join(f"TITL {title}".split())[:LONGEST_TITLE]]
    lines += _cell_lines(symmetry, wavelength, Z, error)
    if program == "shelxt":
        lines += [f"SFAC {' '.join(counts)}", unit]
    else:
        lines += _remarks(known, _refined_freely(structure, riding))
        lines += [line for element in counts for line in sfac(element)] + [unit]
        lines += _refinement_lines(temperature, n_cycles, weights, scale)
        if structure is not None:
            lines += atom_lines(structure, list(counts), riding)
    return "\n".join([*lines, "HKLF 4", "END"]) + "\n"


def _refined_freely(structure: xray.structure | None, riding: Sequence[Riding]) -> bool:
    """Whether there is hydrogen that rides on nothing."""
    if structure is None:
        return False
    rides = {h for one in riding for h in one.hydrogen}
    return any(
        parse_type(s.scattering_type)[0] == "H" and i not in rides
        for i, s in enumerate(structure.scatterers())
    )


def _remarks(known_error: bool, hydrogen: bool) -> list[str]:
    """What a user has to see to; neither matters to a solution."""
    told = [] if known_error else [GUESSED_ERROR]
    return [*told, FREE_HYDROGEN] if hydrogen else told


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{x:.4f}" for x in values)


def _in_cell(symmetry, contents, Z, structure) -> tuple[dict[str, float], float]:
    """Atoms in the cell by element, and Z."""
    present: dict[str, float] = {}
    if structure is not None:
        for scatterer in structure.scatterers():
            element = parse_type(scatterer.scattering_type)[0]
            share = scatterer.multiplicity() * scatterer.occupancy
            present[element] = present.get(element, 0.0) + share
    if contents is None:
        if structure is None:
            raise ValueError("neither contents nor a structure: no elements for SFAC")
        return {key: round(n, 2) for key, n in present.items()}, Z or 1
    lacking = sorted(set(present) - set(contents))
    if lacking:
        raise ValueError(
            f"the structure has {', '.join(lacking)}, which the contents "
            f"({', '.join(contents)}) do not name"
        )
    Z = symmetry.space_group().order_z() if Z is None else Z
    return {key: round(n * Z, 2) for key, n in contents.items()}, Z


def _cell_error(symmetry: crystal.symmetry) -> list[float]:
    cell = symmetry.unit_cell().parameters()
    free = symmetry.space_group().average_unit_cell(symmetry.unit_cell()).parameters()
    angles = [
        0.0 if x in (90.0, 120.0) else 0.01 for x in (round(y, 4) for y in free[3:])
    ]
    return [x / 1000 for x in cell[:3]] + angles


def _cell_lines(symmetry, wavelength: float, Z: float, error) -> list[str]:
    return [
        f"CELL {wavelength:.5f} {_numbers(symmetry.unit_cell().parameters())}",
        f"ZERR {Z:g} {_numbers(error)}",
        *_symmetry_lines(symmetry),
    ]


def _symmetry_lines(symmetry: crystal.symmetry) -> list[str]:
    """LATT and SYMM."""
    group = symmetry.space_group()
    if group.is_centric() and not group.is_origin_centric():
        raise ValueError(
            f"{symmetry.space_group_info()} has its centre of symmetry away from the "
            "origin, which SHELX does not read: choose the other origin"
        )
    text = io.StringIO()
    try:
        LATT_SYMM(text, group)
    except RuntimeError as error:
        raise ValueError(f"{symmetry.space_group_info()}: {error}") from None
    return text.getvalue().splitlines()


def _refinement_lines(temperature, n_cycles, weights, scale) -> list[str]:
    return [
        *([] if temperature is None else [f"TEMP {temperature:g}"]),
        f"L.S. {n_cycles}",
        "BOND $H",
        "ACTA",
        "LIST 4",
        "FMAP 2",
        "PLAN 20",
        "WGHT " + " ".join(f"{x:g}" for x in weights),
        f"FVAR {math.sqrt(scale):.6g}",
    ]


def atom_lines(
    structure: xray.structure, elements: Sequence[str], riding: Sequence[Riding] = ()
) -> list[str]:
    """
    Give the atoms as SHELXL reads them.

    Site, 10 + occupancy × multiplicity / number of general positions (fixed), and U or
    U11 U22 U33 U23 U13 U12. Hydrogen that rides follows its parent, between AFIX and
    AFIX 0, with U as a multiple of that of the parent; other hydrogen stands where it is
    in the structure.

    Args:
        structure: The atoms.
        elements: In the order of SFAC.
        riding: Hydrogen that rides.
    """
    groups = {one.parent: one for one in riding}
    rides = {h: one for one in riding for h in one.hydrogen}
    lines: list[str] = []
    labels: set[str] = set()
    scatterers = structure.scatterers()
    for i, scatterer in enumerate(scatterers):
        if i in rides:
            continue
        lines += _one_atom(structure, scatterer, elements, labels)
        group = groups.get(i)
        if group is None:
            continue
        length = "" if group.length is None else f" {group.length:.3f}"
        lines.append(f"AFIX {group.afix}{length}")
        for h in group.hydrogen:
            one = scatterers[h]
            lines += _one_atom(structure, one, elements, labels, -group.u_ratio)
        lines.append("AFIX 0")
    return lines


def _one_atom(structure, scatterer, elements, labels, u=None) -> list[str]:
    """One or two lines; u overrules that of the atom."""
    cell, order = structure.unit_cell(), structure.space_group().order_z()
    element = parse_type(scatterer.scattering_type)[0]
    label = _label(scatterer.label, element, labels)
    share = 10 + scatterer.occupancy * scatterer.multiplicity() / order
    start = f"{label:4s} {elements.index(element) + 1:2d} " + " ".join(
        f"{x:.6f}" for x in scatterer.site
    )
    start += f" {share:.5f}"
    if u is None and scatterer.flags.use_u_aniso():
        tensor = adptbx.u_star_as_u_cif(cell, scatterer.u_star)
        u11, u22, u33, u12, u13, u23 = (f"{x:.5f}" for x in tensor)
        return [f"{start} {u11} {u22} =", f"  {u33} {u23} {u13} {u12}"]
    return [f"{start} {scatterer.u_iso if u is None else u:.5f}"]


def _label(given: str, element: str, taken: set[str]) -> str:
    """A label of four characters that begins with the element and is not taken."""
    label = re.sub(r"[^A-Za-z0-9]", "", given).upper()[:LONGEST_LABEL]
    begins = bool(re.match(rf"{element.upper()}(?![A-Z])", label))
    number = 0
    while not begins or label in taken or not re.search(r"\d", label):
        number += 1
        label = f"{element.upper()}{_short(number, LONGEST_LABEL - len(element))}"
        begins = True
    taken.add(label)
    return label


def _short(number: int, width: int) -> str:
    """A number of so many characters, to base 36 where it would be longer."""
    if number < 10**width:
        return str(number)
    digits, rest = "", number - 10**width
    for _ in range(width - 1):
        rest, digit = divmod(rest, 36)
        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[digit] + digits
    if rest > 8:
        raise ValueError(
            f"{math.floor(10**width + 9 * 36 ** (width - 1))} atoms at most"
        )
    return str(rest + 1) + digits
