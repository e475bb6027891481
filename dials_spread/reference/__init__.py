"""
Reference amplitudes, and whether they are of this compound.

Modules:
    files: structures and reflection lists, read from files
    hkl_files: what an .hkl file holds, by the .ins or .res file beside it
    lists: reflection lists: MTZ, SHELX .hkl, .fcf, CIF
    matching: indices matched through symmetry and settings, R1 of each, and of chance
"""

from __future__ import annotations

from dials_spread.reference.files import Reference, read_reference, reference_amplitudes
from dials_spread.reference.matching import ReferenceMatch, match_reference

__all__ = [
    "Reference",
    "ReferenceMatch",
    "match_reference",
    "read_reference",
    "reference_amplitudes",
]
