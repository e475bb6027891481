"""
Multiple scattering in measured crystals: R1, held-out R1, thicknesses, spread explained.

    python benchmarks/measured_thickness.py FOLDER [quartz glycine abiraterone]

FOLDER holds the measured sets as the tests use them. For abiraterone the published
dynamical intensities of another program (Jana2006) are compared with those simulated
here, crystal by crystal. Minutes on two cores, most of them for abiraterone.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from tabulate import tabulate

from dials_spread.input_files import read_files
from dials_spread.rfactor import r_factor
from dials_spread.structures.structure_files import read_structure
from dials_spread.thickness import simulate_measured

SETS = {
    "quartz": "quartz/scaled",
    "glycine": "glycine/integrated",
    "abiraterone": "abiraterone/integrated",
}


def published(crystal, table) -> tuple[float, float]:
    """R1 of Jana2006's dynamical intensities with those simulated, and with |F|²."""
    if "jana.intensity_dyn" not in table:
        return float("nan"), float("nan")
    known = crystal.dynamical_variance >= 0
    known &= np.abs(table["jana.excitation_error"].as_numpy_array()) < 0.004
    theirs = table["jana.intensity_dyn"].as_numpy_array() * crystal.lorentz
    theirs = np.sqrt(theirs[known])
    return tuple(
        r_factor(theirs, np.sqrt(values[known]))[0]
        for values in (crystal.dynamical, crystal.kinematic)
    )


def report(name: str, folder: Path) -> None:
    """Simulate one measured set and print what was found."""
    path = str(folder / SETS[name])
    data = read_files([f"{path}.expt"], [f"{path}.refl"])
    wall, process = time.perf_counter(), time.process_time()
    result = simulate_measured(read_structure(name), data.experiments, data.tables)
    wall, process = time.perf_counter() - wall, time.process_time() - process
    rows = []
    for c, table in zip(result.crystals, data.tables):
        row = [c.number, f"{c.shape.thickness:.0f}({c.fit.su:.0f})", c.shape.law, c.n]
        row += [c.r1_kinematic, c.r1, c.fit.held_out_kinematic, c.fit.held_out]
        rows.append([*row, c.r1_other_hand, *published(c, table)])
    header = ["crystal", "Å", "shape", "n", "kin.", "dyn.", "held out kin.", "dyn."]
    header += ["inverted", "Jana: dyn.", "Jana: kin."]
    comparison, explained = result.comparison, result.explained.as_dict()
    lines = [
        f"{name}: {wall:.0f} s, {process:.0f} s of processor time",
        tabulate(rows, header, floatfmt=".3f"),
        "all observations, merged: kinematic "
        f"{comparison.pooled(comparison.kinematic):.3f}, "
        f"{comparison.merged(comparison.kinematic):.3f}; dynamical "
        f"{comparison.pooled(comparison.dynamical):.3f}, "
        f"{comparison.merged(comparison.dynamical):.3f}",
        ", ".join(f"{key} {value}" for key, value in explained.items()),
    ]
    sys.stdout.write("\n".join(lines) + "\n\n")
    sys.stdout.flush()


def main() -> None:
    """Report on the sets that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("sets", nargs="*", default=list(SETS))
    options = parser.parse_args()
    for name in options.sets:
        report(name, options.folder)


if __name__ == "__main__":
    main()
