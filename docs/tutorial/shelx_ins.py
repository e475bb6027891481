"""
Write a start file for SHELXT, SHELXL and Olex2 with electron form factors.

    python shelx_ins.py scaled.expt NAME C=8,H=9,N=1,O=2 Z SPACE_GROUP > NAME.ins

SHELX takes 9 numbers a form factor, four Gaussians and a constant; they are fitted here
to the electron form factors of International Tables C, 4.3.2.2 to sin(theta)/lambda = 1
per angstrom, with what the fit leaves in a remark. Cell and wavelength are those of the
experiments (the mean of their cells).
"""

from __future__ import annotations

import sys

import numpy as np

from cctbx import crystal
from dxtbx.model.experiment_list import ExperimentListFactory

from dials_spread.shelx import instructions


def main() -> None:
    """Write to standard output."""
    file, name, formula, Z, group = sys.argv[1:]
    experiments = ExperimentListFactory.from_json_file(file, check_format=False)
    cells = np.array([e.crystal.get_unit_cell().parameters() for e in experiments])
    contents = dict(part.split("=") for part in formula.split(","))
    text = instructions(
        crystal.symmetry(tuple(cells.mean(axis=0)), group),
        experiments[0].beam.get_wavelength(),
        {element: float(n) for element, n in contents.items()},
        int(Z),
        title=f"{name} in {group}",
        cell_error=cells.std(axis=0, ddof=1) / np.sqrt(len(cells)),
        temperature=-173,
    )
    print(text, end="")


if __name__ == "__main__":
    main()
