"""
SHELX .ins and .res files, prepared for the parser of iotbx.

That parser reads cell, symmetry operations, free variables, riding displacements and site
occupation factors. What SHELXL does beyond is done to the text before: what it leaves out
of the structure is left out, and what one instruction says of the atoms after it (MOVE,
PART, AFIX) is written into them. The measure is the manual of SHELXL.

Functions:
    prepared_shelx: the text for the parser, and the names of its atoms
    joined_lines: continuation lines joined
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field

from cctbx import sgtbx, uctbx
from cctbx.eltbx import xray_scattering

from dials_spread.structures.cell_content import ISOTOPES
from dials_spread.structures.shelx_atoms import AtomState, atom_words, numbers_of

logger = logging.getLogger("dials.spread.structures")

NUMBER = re.compile(r"^[-+]?\.?\d")

INSTRUCTIONS = frozenset(
    "ABIN ACTA AFIX ANIS ANSC ANSR BASF BEDE BIND BLOC BOND BUMP CELL CGLS CHIV CONF CONN "
    "DAMP DANG DEFS DELU DFIX DISP EADP END EQIV ESEL EXTI EXYZ FEND FLAT FMAP FRAG FREE "
    "FVAR GRID HFIX HKLF HOPE HTAB ISOR L.S. LATT LAUE LIST LONE MERG MOLE MORE MOVE MPLA "
    "NCSY NEUT OMIT PART PATT PHAN PHAS PLAN PRIG RESI RIGU RTAB SADI SAME SFAC SHEL SIMU "
    "SIZE SPEC STIR SUMP SWAT SYMM TEMP TEXP TIME TREF TWIN TWST UNIT WGHT WIGL WPDB XNPD "
    "ZERR FIND MIND NTRY PATS SEED TEST".split()
)
"""All that SHELXL, and the programs for structure solution before it, take for one."""


@dataclass
class PreparedShelx:
    """
    A SHELX file for the parser.

    Attributes:
        text: For iotbx, every atom under a name of its own.
        labels: Names of the atoms, with their residues.
        general: Some atoms are to stay beside a special position (PART with a negative
            number).
        unit: Atoms of each element by UNIT.
    """

    text: str = ""
    labels: list[str] = field(default_factory=list)
    general: bool = False
    unit: dict[str, float] = field(default_factory=dict)


@dataclass
class _Header:
    cell: list[str] = field(default_factory=list)
    lattice: str = ""
    operations: list[str] = field(default_factory=list)
    elements: list[str] = field(default_factory=list)
    unit: list[float] = field(default_factory=list)
    variables: list[str] = field(default_factory=list)
    numbers: bool = False


def joined_lines(text: str) -> list[tuple[int, str]]:
    """
    Join lines that go on on the next one.

    Args:
        text: Of the file. A line with = goes on, unless it is a remark or a title; all
            behind = and ! is a remark.

    Returns:
        Number of each line, from one, and the line.
    """
    lines: list[tuple[int, str]] = []
    open_line = False
    for k, line in enumerate(text.splitlines(), 1):
        if not open_line and line[:4].upper() in ("REM", "REM ", "TITL"):
            lines.append((k, line.rstrip()))
            continue
        kept, goes_on, _ = line.split("!")[0].partition("=")
        if open_line:
            lines[-1] = (lines[-1][0], f"{lines[-1][1]} {kept.strip()}")
        else:
            lines.append((k, kept.rstrip()))
        open_line = bool(goes_on)
        lines[-1] = (lines[-1][0], lines[-1][1].rstrip())
    return lines


def prepared_shelx(text: str, source: str) -> PreparedShelx:
    """
    Prepare a SHELX file.

    Args:
        text: Of the file.
        source: Its name, for messages.

    Returns:
        What the parser reads as SHELXL would read the file.

    Raises:
        ValueError: One line, with the number of the line and its instruction.
    """
    told = _instructions(text, source)
    header = _header(told, source)
    state = AtomState(header.elements, [float(x) for x in header.variables])
    lines: list[str] = []
    labels: list[str] = []
    for k, key, words in told:
        where = f"{source}, line {k}"
        if key is None:
            found = atom_words(words, state, where)
            if found:
                labels.append(state.label(words[0]))
                lines.append(f"{_name(len(lines))} {' '.join(found)}")
        else:
            state.apply(key, words, where)
    for note in state.notes():
        logger.info("%s: %s", source, note)
    if any(key == "HFIX" for _, key, _ in told):
        logger.warning(
            "%s: HFIX asks SHELXL for hydrogen atoms, which this file does not have yet; "
            "give the .res file of the refinement.",
            source,
        )
    elements = [element.capitalize() for element in header.elements]
    unit: dict[str, float] = {}
    for element, number in zip(elements, header.unit):
        element = ISOTOPES.get(element, element)
        unit[element] = unit.get(element, 0) + number
    head = [
        *("TITL x", "CELL " + " ".join(header.cell), "ZERR 1 0 0 0 0 0 0"),
        f"LATT {header.lattice}",
        *(f"SYMM {operation}" for operation in header.operations),
        "SFAC " + " ".join(header.elements),
        "FVAR " + " ".join(header.variables or ["1.0"]),
    ]
    whole = "\n".join([*head, *lines, "HKLF 4", "END", ""])
    return PreparedShelx(whole, labels, state.general, unit)


def _name(k: int) -> str:
    """A name of four characters for atom k that is no instruction."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return "V" + digits[k // 1296 % 36] + digits[k // 36 % 36] + digits[k % 36]


def _instructions(text: str, source: str) -> list[tuple[int, str | None, list[str]]]:
    """Lines with the name of their instruction, None for atoms; fragments left out."""
    told = []
    fragment = 0
    for k, line in joined_lines(text):
        words = line.split()
        if not words or line[0].isspace():
            continue
        if words[0][0] == "+":
            raise ValueError(
                f"{source}, line {k}: {words[0]} reads another file into this one; put "
                "its lines here"
            )
        key = words[0].upper().split("_")[0]
        if key.startswith(("REM", "TITL")):
            continue
        if key in ("HKLF", "END"):
            break
        if key == "FRAG":
            fragment = k
        elif key == "FEND":
            fragment = 0
        elif not fragment:
            told.append((k, key if key in INSTRUCTIONS else None, words))
    if fragment:
        raise ValueError(f"{source}, line {fragment}: FRAG without a FEND after it")
    return told


def _header(told: list[tuple[int, str | None, list[str]]], source: str) -> _Header:
    """Cell, symmetry, elements and free variables, from wherever they are."""
    header = _Header()
    for k, key, words in told:
        where = f"{source}, line {k}: {key}"
        if key == "CELL":
            header.cell = [str(x) for x in numbers_of(words[1:], where)]
            if len(header.cell) != 7:
                raise ValueError(f"{where} needs wavelength, three edges, three angles")
        elif key == "LATT":
            found = numbers_of(words[1:2], where)
            header.lattice = f"{found[0]:.0f}" if found else "1"
            if not 1 <= abs(int(header.lattice)) <= 7:
                raise ValueError(
                    f"{where} {header.lattice} is none of 1 to 7, or minus"
                )
        elif key == "SYMM":
            operation = " ".join(words[1:])
            try:
                sgtbx.rt_mx(operation)
            except (RuntimeError, ValueError):
                raise ValueError(f"{where} {operation} is not understood") from None
            header.operations.append(operation)
        elif key == "SFAC":
            _add_elements(header, words, where)
        elif key == "UNIT":
            header.unit += numbers_of(words[1:], where)
        elif key == "FVAR":
            header.variables += [str(x) for x in numbers_of(words[1:], where)]
        elif key == "NEUT":
            logger.warning("%s: a refinement against neutrons (NEUT).", source)
    _check_header(header, source)
    return header


def _add_elements(header: _Header, words: list[str], where: str) -> None:
    if len(words) > 2 and NUMBER.match(words[2]):
        header.numbers = True
        names = words[1:2]
    else:
        names = [word for word in words[1:] if not NUMBER.match(word)]
    for name in names:
        plain = re.sub(r"^([A-Za-z]{1,2})([+-])(\d)$", r"\1\3\2", name.lstrip("$"))
        plain = plain[:1].upper() + plain[1:].lower()
        if xray_scattering.get_standard_label(plain, True, True) is None:
            raise ValueError(f"{where} {name} is no element")
        header.elements.append(plain)


def _check_header(header: _Header, source: str) -> None:
    if not header.cell:
        raise ValueError(f"{source}: no CELL, so no SHELX file")
    if not header.elements:
        raise ValueError(f"{source}: no SFAC, so nothing tells the elements")
    if header.numbers:
        logger.info(
            "%s: scattering factors given in numbers are not used: those of electrons are "
            "computed for its elements.",
            source,
        )
    if not header.lattice:
        header.lattice = "1"
        logger.info(
            "%s: no LATT, which means a primitive lattice with a centre of symmetry.",
            source,
        )
    group = sgtbx.space_group()
    if int(header.lattice) > 0:
        group.expand_inv(sgtbx.tr_vec((0, 0, 0)))
    group.expand_conventional_centring_type("*PIRFABC"[abs(int(header.lattice))])
    told = f"CELL {' '.join(header.cell[1:])}"
    try:
        cell = uctbx.unit_cell([float(x) for x in header.cell[1:]])
        for operation in header.operations:
            group.expand_smx(sgtbx.rt_mx(operation))
    except RuntimeError:
        raise ValueError(
            f"{source}: {told} is no unit cell, or LATT and SYMM make no space group"
        ) from None
    if not group.is_compatible_unit_cell(cell):
        raise ValueError(
            f"{source}: {told} is no cell of space group {group.info()}, which LATT and "
            "SYMM make; correct either"
        )
