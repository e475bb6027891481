"""
A reference from a file: a structure, whose amplitudes are computed, or a list of them.

Functions:
    read_reference: by the name of a file
    holds_block: whether a CIF has a data block
    reference_amplitudes: |F| of given indices, in the reference's own setting
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cctbx import crystal, miller, xray
from cctbx.array_family import flex

from dials_spread.reference.lists import ENDINGS, read_list
from dials_spread.scattering.structure_factors import MIN_D_SPACING, structure_factors
from dials_spread.structures.cif_files import read_cif
from dials_spread.structures.structure_checks import check_structure
from dials_spread.structures.structure_files import (
    BUILT_IN,
    meant_instead,
    read_structure,
)

logger = logging.getLogger("dials.spread.reference")

STRUCTURE_ENDINGS = (".ins", ".res", ".pdb", ".ent")
"""Files that hold nothing but a structure."""


@dataclass(frozen=True)
class Reference:
    """
    Reference amplitudes.

    Attributes:
        source: Name of the file, or of a built-in structure.
        symmetry: Cell and space group, in the setting of the file.
        structure: Its amplitudes are computed from electron form factors; None for a
            list.
        amplitudes: Of unique reflections, Friedel mates merged; None for a structure.
        label: The column that was taken, or "structure".
    """

    source: str
    symmetry: crystal.symmetry
    structure: xray.structure | None
    amplitudes: miller.array | None
    label: str

    def as_dict(self) -> dict:
        """Describe the reference in what JSON can hold."""
        return {
            "source": self.source,
            "taken": self.label,
            "space_group": str(self.symmetry.space_group_info()),
            "unit_cell": list(self.symmetry.unit_cell().parameters()),
            "atoms": self.structure and self.structure.scatterers().size(),
            "reflections": self.amplitudes and self.amplitudes.size(),
        }


def read_reference(
    source: str,
    symmetry: crystal.symmetry,
    hklf: int | None = None,
    column: str | None = None,
    block: str | None = None,
) -> Reference:
    """
    Read a structure or a reflection list.

    Args:
        source: A file: CIF, SHELX .ins, .res, .hkl or .fcf, PDB, MTZ. A CIF that holds
            atoms is taken as a structure unless a column is asked for. Or the name of a
            built-in structure.
        symmetry: Cell and space group of the measured crystals, for lists without.
        hklf: 3 or 4, what a SHELX .hkl file holds.
        column: Label of the column of a list.
        block: The data block of a CIF that holds several structures or lists.

    Returns:
        The reference.

    Raises:
        ValueError: One line; several for a structure with several faults.
    """
    path = Path(source)
    ending = path.suffix.lower()
    if source not in BUILT_IN:
        if not os.path.isfile(path):
            kind = "a folder, not a file" if os.path.isdir(path) else "no such file"
            raise ValueError(f"reference={source}: {kind}{meant_instead(source)}")
        if ending not in (*STRUCTURE_ENDINGS, *ENDINGS):
            told = ", ".join((*STRUCTURE_ENDINGS, *ENDINGS))
            raise ValueError(f"reference={source}: a reference is read from {told}")
    if source in BUILT_IN or (column is None and _is_structure(path, block)):
        structure = read_structure(source, block)
        check_structure(structure, MIN_D_SPACING)
        return Reference(
            source, structure.crystal_symmetry(), structure, None, "structure"
        )
    array, label = read_list(source, symmetry, hklf, column, block)
    return Reference(source, array.crystal_symmetry(), None, array, label)


def holds_block(source: str, block: str) -> bool:
    """Say whether a file is a CIF with a data block of that name."""
    path = Path(source)
    if path.suffix.lower() not in (".cif", ".mmcif", ".fcf") or not os.path.isfile(
        path
    ):
        return False
    return block in read_cif(path)


def _is_structure(path: Path, block: str | None = None) -> bool:
    if path.suffix.lower() in STRUCTURE_ENDINGS:
        return True
    if path.suffix.lower() not in (".cif", ".mmcif"):
        return False
    try:
        model = read_cif(path)
    except ValueError:  # crashes the parser
        raise
    except Exception:  # whatever is wrong is told by the reader of lists
        logger.debug("Reading %s", path, exc_info=True)
        return False
    wanted = ("_atom_site_fract_x", "_atom_site.fract_x", "_atom_site.Cartn_x")
    if block is not None and block in model:
        return any(name in model[block] for name in wanted)
    return any(name in model[key] for key in model for name in wanted)


def reference_amplitudes(reference: Reference, miller_index: np.ndarray) -> np.ndarray:
    """
    Give the amplitudes of indices in the reference's own setting.

    Args:
        reference: A structure or a list.
        miller_index: Shape (n, 3), int.

    Returns:
        |F|, shape (n,): [Å] for a structure; nan where a list has none.
    """
    indices = np.asarray(miller_index).reshape(-1, 3)
    if reference.structure is not None:
        return np.abs(structure_factors(reference.structure, indices))
    wanted = miller.set(
        reference.symmetry,
        flex.miller_index([tuple(int(x) for x in hkl) for hkl in indices]),
        anomalous_flag=False,
    )
    mapped = wanted.map_to_asu().indices()
    listed = reference.amplitudes
    if listed is None:
        raise ValueError(f"{reference.source} has neither a structure nor amplitudes.")
    known = dict(zip(listed.indices(), listed.data()))
    return np.array([known.get(hkl, np.nan) for hkl in mapped], dtype=float)
