"""
Crystal structures from files: CIF, mmCIF, SHELX .ins and .res, PDB, and a few built in.

Functions:
    read_structure: by the name of a file or of a built-in structure
    meant_instead: the built-in structure that a misspelt name may mean
    write_cif: a structure into a CIF
"""

from __future__ import annotations

import io
import logging
import os
import re
from difflib import get_close_matches
from pathlib import Path

import iotbx.pdb
from cctbx import xray
from cctbx.eltbx import xray_scattering
from iotbx.cif.model import cif as Cif
from iotbx.pdb.mmcif import cif_input
from libtbx.utils import Sorry

from dials_spread.structures.cell_content import (
    as_formula,
    cell_content,
    differing,
)
from dials_spread.structures.cif_files import read_cif, text_of
from dials_spread.structures.cif_structures import structure_of_block
from dials_spread.structures.mmcif_files import filled_mmcif
from dials_spread.structures.shelx_files import prepared_shelx

logger = logging.getLogger("dials.spread.structure_files")

DATA = Path(__file__).parent / "data"

BUILT_IN = {
    "abiraterone": "abiraterone_acetate.cif",
    "glycine": "glycine.cif",
    "paracetamol": "paracetamol_form_II.cif",
    "quartz": "quartz.cif",
}
"""Names of the structures that come with the program, and their files."""

CELL_NAMES = tuple(
    f"_cell_{name}"
    for name in (
        *("length_a", "length_b", "length_c"),
        *("angle_alpha", "angle_beta", "angle_gamma"),
    )
)

# Atoms nearer to their own symmetry mates [Å] are on a special position. The default of
# cctbx, 0.5 Å, would move disordered atoms beside one onto it and so lose half of them.
SPECIAL_POSITION = 0.2

# The same where atoms beside a special position are to stay there [Å]; what is on one is
# written with five digits.
AS_WRITTEN = 0.02

# Types that cctbx reads but that are elements with another name in X-ray tables.
RENAMED = {"D": "H", "T": "H", "Cval": "C", "Sival": "Si"}


def read_structure(source: str, block: str | None = None) -> xray.structure:
    """
    Read a crystal structure.

    Args:
        source: Name of a built-in structure, or of a file.
        block: The data block of a CIF that holds several structures.

    Returns:
        The structure, every scattering type in the spelling of cctbx.

    Raises:
        ValueError: There is no such structure, or the file cannot be understood.
    """
    if source in BUILT_IN:
        path = DATA / BUILT_IN[source]
    else:
        path = Path(source)
        _check_file(path, source)
    readers = {
        **dict.fromkeys((".cif", ".mmcif"), lambda p: _read_cif(p, block)),
        **dict.fromkeys((".ins", ".res"), _read_shelx),
        **dict.fromkeys((".pdb", ".ent"), _read_pdb),
    }
    try:
        structure = readers[path.suffix.lower()](path)
    except UnicodeDecodeError:
        raise ValueError(f"{source}: cannot be read (not a text file)") from None
    except (ValueError, OSError):
        raise
    except (Exception, Sorry) as error:  # each reader of cctbx has its own kinds
        logger.debug("Reading %s", source, exc_info=True)
        reason = (" ".join(str(error).split()) or type(error).__name__)[:120]
        raise ValueError(f"{source}: cannot be read ({reason})") from None
    for scatterer in structure.scatterers():
        scatterer.scattering_type = standard_type(scatterer, source)
    return structure


def _check_file(path: Path, source: str) -> None:
    if not os.path.isfile(path):
        kind = "a folder, not a file" if os.path.isdir(path) else "no such file"
        built_in = ", ".join(sorted(BUILT_IN))
        raise ValueError(
            f"structure={source}: {kind}, and no built-in structure ({built_in}, random)"
            f"{meant_instead(source)}"
        )
    if path.suffix.lower() not in (
        *(".cif", ".mmcif", ".ins", ".res"),
        *(".pdb", ".ent"),
    ):
        raise ValueError(
            f"structure={source}: a structure is read from .cif, .mmcif, .ins, .res, "
            ".pdb or .ent files"
        )


def meant_instead(source: str) -> str:
    """Ask for the built-in structure that a misspelt name may mean."""
    near = get_close_matches(source.lower(), [*BUILT_IN, "random"], n=1)
    return f"; did you mean {near[0]}?" if near else ""


def standard_type(scatterer: xray.scatterer, source: str) -> str:
    """
    The scattering type of an atom as cctbx spells it: "Na1+" for "Na+" or "Na+1".

    Args:
        scatterer: The atom.
        source: Name of the file, for the message.

    Raises:
        ValueError: It is no element, nor an ion that X-ray tables know.
    """
    told = scatterer.scattering_type.strip()
    spelling = re.sub(r"^([A-Za-z]{1,2})([+-])(\d)$", r"\1\3\2", told)
    found = xray_scattering.get_standard_label(spelling, exact=True, optional=True)
    if found is None:
        label = scatterer.label.strip()
        raise ValueError(
            f"{source}: atom {label or '?'} is of type {told or '?'}, which is neither "
            "an element nor an ion with known form factors"
        )
    return RENAMED.get(found, found)


def _read_cif(path: Path, name: str | None) -> xray.structure:
    """Read the only structure of a CIF, or the one named."""
    model = read_cif(path)
    large = [key for key in model if "_atom_site.Cartn_x" in model[key]]
    found = [
        key
        for key in model
        if key in large or any(f"_atom_site{dot}fract_x" in model[key] for dot in "._")
    ]
    if name is not None and name not in found:
        raise ValueError(
            f"{path}: no structure is called {name}; there are: {', '.join(found)}"
        )
    if name is None and len(found) > 1:
        raise ValueError(
            f"{path}: several structures, choose one with cif_block=: {', '.join(found)}"
        )
    if not found:
        raise ValueError(f"{path}: no atoms with fractional coordinates")
    name = name or found[0]
    if name in large:
        block = filled_mmcif(model[name], f"{path}: data_{name}")
        return _of_hierarchy(cif_input(cif_object=Cif({name: block})), path)
    return structure_of_block(
        model[name], f"{path}: data_{name}", SPECIAL_POSITION, AS_WRITTEN
    )


def _read_shelx(path: Path) -> xray.structure:
    prepared = prepared_shelx(text_of(path), str(path))
    structure = xray.structure.from_shelx(
        file=io.StringIO(prepared.text),
        set_grad_flags=False,
        min_distance_sym_equiv=AS_WRITTEN if prepared.general else SPECIAL_POSITION,
        strictly_shelxl=False,
    )
    # Errors of the cell, from ZERR, of which a cell cannot go to another process.
    vars(structure.unit_cell()).pop("parameter_sigmas", None)
    for scatterer, label in zip(structure.scatterers(), prepared.labels):
        scatterer.label = label
    order = structure.space_group().order_z()
    for atom in structure.scatterers():
        if atom.occupancy > 1.05 and atom.multiplicity() < order:
            share = atom.multiplicity() / order
            raise ValueError(
                f"{path}: atom {atom.label} is on a special position, where the "
                f"occupancy of a SHELX file is that of the atom times {share:.4g}: give "
                f"{10 + share:.5g} for a whole one"
            )
    read = cell_content(structure)
    if read and prepared.unit and differing(read, prepared.unit):
        logger.warning(
            "%s: the atoms make %s in the unit cell, UNIT says %s.",
            *(path, as_formula(read), as_formula(prepared.unit)),
        )
    return structure


def _read_pdb(path: Path) -> xray.structure:
    return _of_hierarchy(iotbx.pdb.input(file_name=str(path)), path)


def _of_hierarchy(hierarchy, path: Path) -> xray.structure:
    """Give the first model of a PDB or mmCIF file."""
    symmetry = hierarchy.crystal_symmetry()
    if symmetry is None or symmetry.unit_cell() is None:
        raise ValueError(f"{path}: no unit cell (CRYST1)")
    if symmetry.space_group() is None:
        raise ValueError(f"{path}: no space group that cctbx understands")
    models = hierarchy.xray_structures_simple()
    if not models:
        raise ValueError(f"{path}: no atoms")
    if len(models) > 1:
        logger.info("%s: the first of %d models is taken.", path, len(models))
    return models[0]


def write_cif(structure: xray.structure, name: str) -> str:
    """
    Give a structure as the text of a CIF, with the names of the core dictionary.

    Args:
        structure: The structure.
        name: Of its data block.
    """
    block = structure.as_cif_block(format="coreCIF")
    # Three decimals are not enough to give the amplitudes again.
    for key, value in zip(CELL_NAMES, structure.unit_cell().parameters()):
        block[key] = f"{value:.5f}"
    model = iotbx.cif.model.cif()
    model[re.sub(r"\s+", "_", name)] = block
    # X-ray form factors follow, which are of no use here.
    return str(model).split("loop_\n  _atom_type_symbol")[0].rstrip() + "\n"
