"""
SHELXT and SHELXL with the data of each branch, where they are on PATH.

Functions:
    run_shelx: both programs in one folder
    contents_of: atoms by element
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cctbx import miller, xray

from dials_spread.output_files import write_text
from dials_spread.shelx.instructions import instructions
from dials_spread.shelx.intensities_hkl import write_hkl
from dials_spread.shelx.programs import (
    ShelxlResult,
    ShelxtResult,
    find_program,
    run_shelxl,
    run_shelxt,
)


@dataclass(frozen=True)
class ShelxRuns:
    """
    What SHELX says of one branch.

    Attributes:
        shelxl: Refinement from the coordinates as given; None where it was not run.
        shelxt: Solution; None likewise.
    """

    shelxl: ShelxlResult | None
    shelxt: ShelxtResult | None

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return {
            "shelxl": self.shelxl and self.shelxl.as_dict(),
            "shelxt": self.shelxt and self.shelxt.as_dict(),
        }


def run_shelx(
    structure: xray.structure, f_sq: miller.array, wavelength: float, folder: Path
) -> ShelxRuns:
    """
    Run what is there.

    Args:
        structure: The reference.
        f_sq: Merged intensities in its setting.
        wavelength: [Å].
        folder: Made where it does not exist; files of an earlier run are replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found: dict = {}
    symmetry = structure.crystal_symmetry()
    for program, run in (("shelxl", run_shelxl), ("shelxt", run_shelxt)):
        if find_program(program) is None:
            continue
        atoms = structure if program == "shelxl" else None
        contents = None if atoms is not None else contents_of(structure)
        text = instructions(
            symmetry, wavelength, contents, structure=atoms, program=program
        )
        write_text(folder / f"{program}.ins", text)
        write_text(folder / f"{program}.hkl", write_hkl(f_sq).text)
        found[program] = run(folder, program)
    return ShelxRuns(found.get("shelxl"), found.get("shelxt"))


def contents_of(structure: xray.structure) -> dict[str, float]:
    """Give the atoms of the asymmetric unit by element; for general positions 1 each."""
    contents: dict[str, float] = {}
    for atom in structure.scatterers():
        element = atom.element_symbol()
        share = atom.weight()
        contents[element] = contents.get(element, 0.0) + share
    return contents
