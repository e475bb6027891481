"""
Files for SHELXT and SHELXL with electron form factors, and these programs where they are.

SHELX is free for academic users from its author and is not part of DIALS: nothing here needs
it but `programs`.

Modules:
    form_factors_sfac: electron form factors as SFAC instructions
    instructions: complete .ins files
    intensities_hkl: .hkl files (HKLF 4), scaled to their format
    programs: the programs, and what they print
"""

from __future__ import annotations

from dials_spread.shelx.instructions import Riding, instructions
from dials_spread.shelx.intensities_hkl import HklFile, write_hkl
from dials_spread.shelx.programs import (
    ShelxlResult,
    ShelxtResult,
    missing_programs,
    run_shelxl,
    run_shelxt,
)

__all__ = [
    "HklFile",
    "Riding",
    "ShelxlResult",
    "ShelxtResult",
    "instructions",
    "missing_programs",
    "run_shelxl",
    "run_shelxt",
    "write_hkl",
]
