"""
mmCIF, prepared for the reader of iotbx.

It wants columns that a small-molecule program has no reason to write, and numbers in all
rows of occupancy and B.

Functions:
    filled_mmcif: a block with all that the reader asks for
"""

from __future__ import annotations

import logging
from statistics import median

from cctbx.array_family import flex
from iotbx.cif.model import block as CifBlock
from iotbx.cif.model import loop as CifLoop

from dials_spread.structures.cif_symmetry import known, number

logger = logging.getLogger("dials.spread.structures")

ATOM = "_atom_site."

# Where only one structure without chains, residues and models is meant.
DEFAULTS = {
    "group_PDB": "HETATM",
    "label_alt_id": ".",
    "label_comp_id": "UNK",
    "label_asym_id": "A",
    "label_entity_id": "1",
    "label_seq_id": "1",
    "pdbx_PDB_model_num": "1",
}
EITHER = {"label_comp_id": "auth_comp_id", "label_asym_id": "auth_asym_id"}
EITHER["label_seq_id"] = "auth_seq_id"


def filled_mmcif(block: CifBlock, where: str) -> CifBlock:
    """
    Fill in what is not told of the atoms.

    Args:
        block: With `_atom_site.Cartn_x`; its loop of atoms is replaced.
        where: File and block, for messages.

    Returns:
        The block; an unknown occupancy is 1, an unknown B the median of the others.

    Raises:
        ValueError: A value is no number.
    """
    columns = {
        key: [value] if isinstance(value := block[key], str) else [*value]
        for key in block
        if key.startswith(ATOM)
    }
    size = len(columns[f"{ATOM}Cartn_x"])
    for name in ("type_symbol", "Cartn_x", "Cartn_y", "Cartn_z"):
        if not all(map(known, columns.get(ATOM + name, ["?"]))):
            raise ValueError(f"{where}: {ATOM}{name} is not told of all atoms")
    for name, usual in DEFAULTS.items():
        if ATOM + name not in columns and ATOM + EITHER.get(name, name) not in columns:
            columns[ATOM + name] = [usual] * size
    if not {f"{ATOM}label_atom_id", f"{ATOM}auth_atom_id"} & {*columns}:
        columns[f"{ATOM}label_atom_id"] = columns[f"{ATOM}type_symbol"]
    columns.setdefault(f"{ATOM}id", [str(k + 1) for k in range(size)])
    for name in ("Cartn_x", "Cartn_y", "Cartn_z", "occupancy", "B_iso_or_equiv"):
        told = columns.get(ATOM + name, ["?"] * size)
        numbers = [number(x, f"{where}: {ATOM}{name}") for x in told if known(x)]
        default = 1.0
        if name == "B_iso_or_equiv" and len(numbers) < size:
            default = median(numbers) if numbers else 0.0
            logger.warning(
                "%s: B is not told of %d of %d atoms; theirs is %g Å².",
                *(where, size - len(numbers), size, default),
            )
        rest = iter(numbers)
        columns[ATOM + name] = [repr(next(rest) if known(x) else default) for x in told]
    for key in columns:
        if key in block:
            del block[key]
    block.add_loop(
        CifLoop(data={key: flex.std_string(value) for key, value in columns.items()})
    )
    return block
