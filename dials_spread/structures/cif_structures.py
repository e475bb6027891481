"""
Crystal structures out of the blocks of core CIF.

The parser is that of iotbx; what the items mean is decided here, atom by atom, as its
builder takes a whole column for unknown where one value is.

Functions:
    structure_of_block: the structure of a block
"""

from __future__ import annotations

import logging
import re
from statistics import median

from cctbx import adptbx, crystal, xray
from cctbx.array_family import flex
from iotbx.cif.model import block as CifBlock

from dials_spread.structures.cell_content import (
    as_formula,
    cell_content,
    differing,
    formula_content,
)
from dials_spread.structures.cif_symmetry import (
    Items,
    items_of,
    known,
    number,
    symmetries,
)

logger = logging.getLogger("dials.spread.structures")

_MODULATED = (
    *("_space_group_ssg_", "_space_group_symop_ssg_", "_cell_wave_vector_"),
    *("_atom_site_displace_", "_atom_site_occ_fourier", "_atom_site_occ_special"),
    *("_atom_site_u_fourier", "_atom_site_fourier_wave", "_cell_subsystem"),
    *("_atom_site_rot_", "_atom_sites_displace_", "_atom_sites_modulation_"),
)
_TENSOR = ("11", "22", "33", "12", "13", "23")
_ISOTROPIC = (
    *(("u_iso_or_equiv", 1.0), ("u_equiv_geom_mean", 1.0)),
    *(
        ("b_iso_or_equiv", adptbx.b_as_u(1.0)),
        ("b_equiv_geom_mean", adptbx.b_as_u(1.0)),
    ),
)


def structure_of_block(
    block: CifBlock, where: str, min_distance: float, as_written: float
) -> xray.structure:
    """
    Build the structure of a block.

    Args:
        block: With fractional coordinates.
        where: File and block, for messages.
        min_distance: Atoms nearer to their own mates [Å] are on a special position.
        as_written: The same where SHELXL kept atoms beside one, which it marks by a
            disorder group with a negative number.

    Returns:
        The structure.

    Raises:
        ValueError: One line: what is wrong, and where.
    """
    items = items_of(block)
    _refuse_modulated(items, where)
    found = symmetries(items, where)
    rows = _rows(items, where)
    shapes = _tensors(items, where)
    if any(row["beside"] for row in rows):
        min_distance = as_written
    structures = [
        _built(symmetry, rows, shapes, where, min_distance) for symmetry in found
    ]
    told, certain = _told_content(items, structures[0])
    if len(structures) == 1:
        chosen = structures[0]
    else:
        right = [s for s in structures if told and not differing(cell_content(s), told)]
        chosen = right[0] if len(right) == 1 and certain else structures[0]
        logger.warning(
            "%s: the symbol of the space group does not say which origin; %s is taken%s.",
            where,
            chosen.space_group_info(),
            ", which makes the chemical formula" if len(right) == 1 and certain else "",
        )
    _say_displacement(rows, shapes, where)
    if told and differing(cell_content(chosen), told):
        logger.warning(
            "%s: the atoms make %s in the unit cell, but by _chemical_formula_sum%s it "
            "is %s: check occupancies, missing (hydrogen) atoms and the origin of the "
            "space group.",
            where,
            as_formula(cell_content(chosen)),
            " and _cell_formula_units_Z" if certain else "",
            as_formula(told),
        )
    return chosen


def _refuse_modulated(items: Items, where: str) -> None:
    signs = [
        name
        for name, value in items.items()
        if name.startswith(_MODULATED)
        and any(map(known, [value] if isinstance(value, str) else value))
    ]
    dimension = items.get("_cell_modulation_dimension", "0")
    if isinstance(dimension, str) and known(dimension) and dimension.strip() != "0":
        signs.append("_cell_modulation_dimension")
    if signs:
        raise ValueError(
            f"{where}: a modulated structure ({signs[0]}), which is not computed here; "
            "give the average structure, or an approximant in a supercell, in an "
            "ordinary CIF"
        )


def _column(items: Items, name: str, size: int | None = None) -> list[str] | None:
    value = items.get(name)
    if isinstance(value, str):
        return [value] if size in (None, 1) else None
    return value if value is None or size in (None, len(value)) else None


def _rows(items: Items, where: str) -> list[dict]:
    """Atoms that are there, each with what is known of it."""
    x = _column(items, "_atom_site_fract_x") or []
    names = [name for name in items if name.startswith("_atom_site_")]
    columns = {
        name[len("_atom_site_") :]: column
        for name in names
        if (column := _column(items, name, len(x))) is not None
    }
    if not {"fract_x", "fract_y", "fract_z"} <= {*columns}:
        raise ValueError(f"{where}: no atoms with fractional coordinates")
    rows, dummies, nowhere = [], [], []
    attached = 0.0
    for values in zip(*columns.values()):
        told = {name: v.strip() for name, v in zip(columns, values) if known(v)}
        label = told.get("label") or told.get("type_symbol") or "?"
        if told.get("calc_flag", "").lower() == "dum":
            dummies.append(label)
        elif not {"fract_x", "fract_y", "fract_z"} <= {*told}:
            nowhere.append(label)
        else:
            at = f"{where}, atom {label}: _atom_site_attached_hydrogens"
            attached += number(told.get("attached_hydrogens", "0"), at)
            rows.append({**_atom(told, f"{where}, atom {label}"), "label": label})
    if dummies:
        logger.info("%s: dummy atoms left out: %s.", where, ", ".join(dummies))
    if nowhere:
        logger.warning(
            "%s: atoms without coordinates left out: %s.", where, ", ".join(nowhere)
        )
    if attached:
        logger.warning(
            "%s: %g hydrogen atoms are said to be attached to others, without "
            "coordinates; they are not in the structure.",
            *(where, attached),
        )
    return rows


def _atom(told: dict[str, str], where: str) -> dict:
    def value(name: str) -> float:
        return number(told[name], f"{where}: _atom_site_{name}")

    u = None
    for name, factor in _ISOTROPIC:
        if name in told and u is None:
            u = factor * value(name)
    kind = told.get("type_symbol")
    if kind is None:
        kind = xray.scatterer(told.get("label", "?")).scattering_type
    kind = re.sub(r"(0[+-]|[+-]0)$", "", kind)
    return {
        "site": tuple(value(f"fract_{x}") for x in "xyz"),
        "occupancy": value("occupancy") if "occupancy" in told else 1.0,
        "u": u,
        "type": kind,
        "beside": told.get("disorder_group", "").startswith("-"),
    }


def _tensors(items: Items, where: str) -> dict[str, tuple[str, tuple[float, ...]]]:
    """Anisotropic displacements by label: U, B or beta, and its six numbers."""
    labels = _column(items, "_atom_site_aniso_label")
    if labels is None:  # the tensors may stand in the loop of the atoms
        labels = _column(items, "_atom_site_label") or []
    found: dict[str, tuple[str, tuple[float, ...]]] = {}
    partly: list[str] = []
    for kind in ("u", "b", "beta"):
        columns = [
            _column(items, f"_atom_site_aniso_{kind}_{ij}", len(labels))
            for ij in _TENSOR
        ]
        if not labels or all(column is None for column in columns):
            continue
        for k, label in enumerate(labels):
            told = [column[k] if column else "?" for column in columns]
            if all(map(known, told)):
                at = f"{where}, atom {label}: _atom_site_aniso_{kind}"
                found.setdefault(label, (kind, tuple(number(x, at) for x in told)))
            elif any(map(known, told)):
                partly.append(label)
    partly = [label for label in partly if label not in found]
    if partly:
        logger.warning(
            "%s: anisotropic displacements with unknown components are not used: %s.",
            *(where, ", ".join(partly)),
        )
    return found


def _typical(rows: list[dict], shapes: dict, cell) -> tuple[float, float]:
    """Median U [Å²] of what is known: of heavier atoms, and of hydrogen."""
    heavy: list[float] = []
    light: list[float] = []
    for row in rows:
        u = row["u"]
        if u is None and row["label"] in shapes:
            u = adptbx.u_star_as_u_iso(cell, _u_star(cell, *shapes[row["label"]]))
        if u is not None:
            (light if row["type"] in ("H", "D", "T") else heavy).append(u)
    typical = median(heavy) if heavy else median(light) / 1.2 if light else 0.0
    return typical, median(light) if light else 1.2 * typical


def _u_star(cell, kind: str, tensor: tuple[float, ...]) -> tuple[float, ...]:
    if kind == "beta":
        return adptbx.beta_as_u_star(tensor)
    if kind == "b":
        tensor = tuple(adptbx.b_as_u(x) for x in tensor)
    return adptbx.u_cif_as_u_star(cell, tensor)


def _built(
    symmetry: crystal.symmetry,
    rows: list[dict],
    shapes: dict,
    where: str,
    min_distance: float,
) -> xray.structure:
    cell = symmetry.unit_cell()
    typical, of_hydrogen = _typical(rows, shapes, cell)
    scatterers = flex.xray_scatterer()
    for row in rows:
        u = row["u"]
        if row["label"] in shapes:
            u = _u_star(cell, *shapes[row["label"]])
        elif u is None:
            u = of_hydrogen if row["type"] in ("H", "D", "T") else typical
        scatterers.append(
            xray.scatterer(
                label=row["label"],
                site=row["site"],
                u=u,
                occupancy=row["occupancy"],
                scattering_type=row["type"],
            )
        )
    settings = crystal.special_position_settings(
        symmetry, min_distance_sym_equiv=min_distance
    )
    return xray.structure(special_position_settings=settings, scatterers=scatterers)


def _say_displacement(rows: list[dict], shapes: dict, where: str) -> None:
    unknown = [r["label"] for r in rows if r["u"] is None and r["label"] not in shapes]
    if unknown and len(unknown) < len(rows):
        logger.warning(
            "%s: no displacement is given for %s; the median U of the other atoms is "
            "taken (1.2 times it for hydrogen).",
            *(where, ", ".join(unknown)),
        )


def _told_content(
    items: Items, structure: xray.structure
) -> tuple[dict[str, float], bool]:
    """Content of the cell by the formula, and whether the formula units are told."""
    formula, units = (
        items.get(name) for name in ("_chemical_formula_sum", "_cell_formula_units_z")
    )
    if not isinstance(formula, str) or not known(formula):
        return {}, False
    once = formula_content(formula)
    if isinstance(units, str) and known(units):
        return formula_content(formula, number(units, "_cell_formula_units_Z")), True
    read = cell_content(structure)
    heavy = [element for element in once if element != "H"] or [*once]
    whole = sum(once[element] for element in heavy)
    times = sum(read.get(element, 0) for element in heavy) / whole if whole else 1
    return formula_content(formula, max(1, round(times))), False
