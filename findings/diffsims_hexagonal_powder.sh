#!/usr/bin/env bash
# diffsims 0.7.0: the powder pattern of a hexagonal crystal has four lines at most.
#
# Versions: diffsims 0.7.0 (the newest on PyPI), orix 0.15.0, diffpy.structure 3.3.1,
# gemmi 0.7.5, numpy 2.4.6; Linux, Python 3.11.
#
# What happens: DiffractionGenerator.calculate_profile_data() writes four indices hkil where
# a = b and gamma = 120. It takes h, k and l from the first rows of the table of
# reflections, not from its columns. So at most four labels come out, mixed from the
# indices of unlike reflections, and the pattern is cut to as many lines: of zinc the three
# below, without the strongest, 101, and scaled to another. With gamma = 119.9999 nine
# of the twelve come: 101 and 110 are still taken together, as are all reflections whose
# indices are permutations of one another (issue 237 of diffsims).
#
# The method that takes its place, SimulationGenerator.calculate_diffraction1d(), has them
# all, but does not heed reciprocal_radius: it always ends at d = 0.7 A (1.43/A), although
# the documentation calls the argument the radius of the sphere to sample. Whoever asks for
# 2/A gets no line beyond 1.43/A, and whoever asks for 0.5/A gets everything to 1.43/A.
#
# Outside opinion: lines by the cell alone, from gemmi, absences of P63/mmc left out.
#
# Remedy for users: calculate_diffraction1d(), its lines beyond reciprocal_radius dropped;
# there is none for d below 0.7 A, except ReciprocalLatticeVector.from_min_dspacing() with
# unique(use_symmetry=True), multiplicity and calculate_structure_factor().
#
# Seen on 2026-11-29:
#
#     diffsims 0.7.0, zinc to 1/A: 12 lines by the cell
#     calculate_profile_data: 3 lines
#            202 at 0.9562/A, intensity  14.2
#            201 at 0.8898/A, intensity 100.0
#          -40-3 at 0.8666/A, intensity  10.6
#       with gamma = 119.9999: 9 lines
#     calculate_diffraction1d to 0.5/A: 27 lines, the last at 1.4263/A; by the cell 3, 0.4781/A
#     calculate_diffraction1d to 1.0/A: 27 lines, the last at 1.4263/A; by the cell 12, 0.9562/A
#     calculate_diffraction1d to 2.0/A: 27 lines, the last at 1.4263/A; by the cell 62, 1.9856/A
#         the strongest at 0.4781/A
#
# Exits with 0 where this is still so, with 1 where the behaviour has changed, and with 2
# where the packages could not be installed. Needs pip's package index and five minutes;
# PYTHON names the interpreter.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset PYTHONPATH
python=$folder/venv/bin/python

cat >"$folder/zinc.py" <<'PYTHON'
import sys
import warnings
from importlib.metadata import version

import gemmi
import numpy as np

warnings.simplefilter("ignore")

from diffpy.structure import Atom, Lattice, Structure
from diffsims.generators.diffraction_generator import DiffractionGenerator
from diffsims.generators.simulation_generator import SimulationGenerator
from orix.crystal_map import Phase


def zinc(gamma):
    lattice = Lattice(2.665, 2.665, 4.947, 90, 90, gamma)
    places = [(1 / 3, 2 / 3, 0.25), (2 / 3, 1 / 3, 0.75)]
    return Structure([Atom("Zn", xyz, lattice=lattice) for xyz in places], lattice)


def spacings(radius):
    """Different lengths of g [1/A] of zinc below the radius, by its cell alone."""
    cell = gemmi.UnitCell(2.665, 2.665, 4.947, 90, 90, 120)
    group = gemmi.find_spacegroup_by_name("P 63/m m c")
    hkl = gemmi.make_miller_array(cell, group, 1 / radius, unique=True)
    seen = [
        (h, k, l)
        for h, k, l in hkl.tolist()
        if abs(np.exp(2j * np.pi * ((h + 2 * k) / 3 + l / 2)) + 1) > 1e-6
    ]
    return np.unique([round(1 / cell.calculate_d(one), 4) for one in seen])


def lines(gamma):
    found = DiffractionGenerator(200).calculate_profile_data(zinc(gamma), 1.0)
    return found.hkls, np.array(found.magnitudes), np.array(found.intensities)


right = spacings(1.0)
labels, lengths, heights = lines(120)
_, nearly, _ = lines(119.9999)
nearly_unique = np.unique(nearly.round(3))
print(f"diffsims {version('diffsims')}, zinc to 1/A: {right.size} lines by the cell")
print(f"calculate_profile_data: {len(labels)} lines")
for label, length, height in zip(labels, lengths, heights):
    print(f"    {label:>6} at {length:.4f}/A, intensity {height:5.1f}")
print(f"  with gamma = 119.9999: {nearly_unique.size} lines")

phase = Phase(space_group=194, structure=zinc(120))
ends = []
for radius in (0.5, 1.0, 2.0):
    pattern = SimulationGenerator(200).calculate_diffraction1d(phase, radius)
    best = pattern.reciprocal_spacing[np.argmax(pattern.intensities)]
    found = np.unique(np.round(pattern.reciprocal_spacing, 4))
    ends.append(found.max())
    print(f"calculate_diffraction1d to {radius}/A: {found.size} lines, ", end="")
    print(f"the last at {found.max():.4f}/A; by the cell {spacings(radius).size}, ", end="")
    print(f"{spacings(radius).max():.4f}/A")
print(f"    the strongest at {best:.4f}/A")

as_described = (
    len(labels) <= 4
    and right.size == 12
    and 4 < nearly_unique.size < right.size
    and abs(best - 0.478) < 0.001
    and not np.any(abs(lengths - best) < 0.001)
    and len(set(ends)) == 1
    and 1.4 < ends[0] < 1 / 0.7
)
sys.exit(0 if as_described else 3)
PYTHON

"${PYTHON:-python3}" -m venv "$folder/venv"
"$python" -m pip install -q --disable-pip-version-check diffsims==0.7.0 orix==0.15.0 \
    diffpy.structure==3.3.1 gemmi==0.7.5 numpy==2.4.6 scipy==1.17.1 numba==0.68.1 \
    >"$folder/pip.log" 2>&1 || { tail -n 5 "$folder/pip.log"; exit 2; }
status=0
"$python" "$folder/zinc.py" || status=$?
if [[ $status -ne 0 ]]; then
    echo "changed: status $status instead of 0"
    exit 1
fi
