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
import re
from difflib import get_close_matches
from pathlib import Path

import iotbx.cif
import iotbx.pdb
from cctbx import crystal, xray
from cctbx.array_family import flex
from cctbx.eltbx import xray_scattering
from iotbx.cif.builders import CifBuilderError
from iotbx.cif.model import block as CifBlock
from libtbx.utils import Sorry

from dials_spread.structures.cif_files import read_cif
from dials_spread.structures.shelx_files import with_one_sfac

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
    if not path.is_file():
        kind = "a folder, not a file" if path.is_dir() else "no such file"
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
    if any("_atom_site.Cartn_x" in model[key] for key in model):
        return _read_pdb(path)
    found = [
        key
        for key in model
        if any(f"_atom_site{dot}fract_x" in model[key] for dot in "._")
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
    block = model[name or found[0]]
    _make_loops(block)
    try:
        structure = iotbx.cif.builders.crystal_structure_builder(block).structure
    except CifBuilderError as error:
        raise ValueError(f"{path}: {error}") from None
    return _with_sites_as_given(structure, block)


def _make_loops(block: CifBlock) -> None:
    """Put what is told of a single atom without a loop into one, as cctbx wants it."""
    for prefix in ("_atom_site_aniso_", "_atom_site_"):
        alone = {
            key: flex.std_string([block[key]])
            for key in [*block]
            if key.startswith(prefix) and isinstance(block[key], str)
        }
        for key in alone:
            del block[key]
        if alone:
            block.add_loop(iotbx.cif.model.loop(data=alone))


def _with_sites_as_given(structure: xray.structure, block: CifBlock) -> xray.structure:
    """Build a structure again from coordinates that were not yet moved anywhere."""
    columns = [
        block.get(f"_atom_site_fract_{x}", block.get(f"_atom_site.fract_{x}"))
        for x in "xyz"
    ]
    if any(isinstance(column, (str, type(None))) for column in columns):
        return structure  # a single atom, not in a loop
    given = zip(*([_number(text) for text in column] for column in columns))
    scatterers = structure.scatterers().deep_copy()
    scatterers.set_sites(flex.vec3_double([tuple(site) for site in given]))
    return xray.structure(
        special_position_settings=crystal.special_position_settings(
            structure.crystal_symmetry(), min_distance_sym_equiv=SPECIAL_POSITION
        ),
        scatterers=scatterers,
    )


def _number(text: str) -> float:
    """A number of a CIF, without its standard uncertainty."""
    return float(text.split("(")[0])


def _read_shelx(path: Path) -> xray.structure:
    text = path.read_bytes().decode("utf-8", "replace")
    if "CELL" not in text.upper():
        raise ValueError(f"{path}: no CELL, so no SHELX file")
    return xray.structure.from_shelx(
        file=io.StringIO(with_one_sfac(text, str(path))),
        set_grad_flags=False,
        min_distance_sym_equiv=SPECIAL_POSITION,
        strictly_shelxl=False,
    )


def _read_pdb(path: Path) -> xray.structure:
    """Read the first model of a PDB or mmCIF file."""
    hierarchy = iotbx.pdb.input(file_name=str(path))
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
