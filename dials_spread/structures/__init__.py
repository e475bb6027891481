"""
Crystal structures, read from files and checked.

Modules:
    cif_files: CIF, read without the two faults that end the process
    shelx_files: SHELX files, prepared for the parser of iotbx
    structure_checks: what must hold of a structure before it is simulated
    structure_files: crystal structures from files
"""

from __future__ import annotations
