"""
Crystal structures, read from files and checked.

Modules:
    cell_content: what a unit cell holds, compared with what its file says
    cif_files: CIF, read without the two faults that end the process
    cif_structures: crystal structures out of the blocks of core CIF
    cif_symmetry: cell and space group of a CIF
    connected: atoms moved to equivalents that form molecules
    mmcif_files: mmCIF, prepared for the reader of iotbx
    shelx_atoms: atoms of SHELX files, with what the instructions before say of them
    shelx_files: SHELX files, prepared for the parser of iotbx
    structure_checks: what must hold of a structure before it is simulated
    structure_files: crystal structures from files
"""

from __future__ import annotations
