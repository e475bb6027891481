#!/usr/bin/env bash
# orix 0.15.0, diffsims 0.7.0: from_min_dspacing() leaves reflections out in oblique cells.
#
# Versions: orix 0.15.0, diffsims 0.7.0, diffpy.structure 3.3.1, gemmi 0.7.5, numpy 2.4.6;
# Linux, Python 3.11.
#
# What happens: Miller.from_min_dspacing() of orix and ReciprocalLatticeVector and
# DiffractingVector.from_min_dspacing() of diffsims look for the last h00, 0k0 and 00l with
# d above the threshold, and for others only within these three indices. That is the right
# box for right angles. The largest h with d(hkl) > d is the whole part of a / d (of the
# axis, not of 1 / a*), which is more where axes are oblique. diffsims then drops what lies
# outside the sphere; orix does not, and gives back the whole box, a third to a half of
# it with d below the threshold, against its documentation.
#
# What it means: patterns simulated with SimulationGenerator lack reflections near the edge
# asked for, in some directions only, and of one set of equivalents some are there and
# others not: 24 reflections of quartz to 1.5 A, 9 % of gypsum to 1 A, 16 % of a primitive
# cell of gold to 0.5 A. Nothing is reported. Outside opinion: gemmi, with both Friedel
# mates counted.
#
# Remedy for users: ask for the smallest of d / (a a*), d / (b b*) and d / (c c*), and drop
# the reflections below d, as here; those of orix have to be dropped in any case.
#
# Seen on 2026-11-29:
#
#     orix 0.15.0, diffsims 0.7.0, P1, reflections
#                             d [A]    gemmi    orix   beyond diffsims with remedy
#     gold, cubic               0.5     2300     2300     2612     2300     2300
#     gold, primitive cell      0.5      536      452      276      452      536
#     quartz                    1.5      144      120       54      120      144
#     gypsum, I-centred cell    1.0     2068     1878     1190     1878     2068
#     albite                    0.5    22262    21376    15598    21376    22262
#     quartz, 2 1 1 and its equivalents: there (1, 2, -1) (2, 1, 1)
#         left out (-3, 1, -1) (-3, 2, 1) (1, -3, 1) (2, -3, -1)
#
# Exits with 0 where this is still so, with 1 where the behaviour has changed, and with 2
# where the packages could not be installed. Needs pip's package index and five minutes;
# PYTHON names the interpreter.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset PYTHONPATH
python=$folder/venv/bin/python

cat >"$folder/count.py" <<'PYTHON'
import sys
import warnings
from importlib.metadata import version

import gemmi

warnings.simplefilter("ignore")

from diffpy.structure import Atom, Lattice, Structure
from diffsims.crystallography import ReciprocalLatticeVector
from orix.crystal_map import Phase
from orix.vector import Miller

CELLS = (
    ("gold, cubic", (4.078, 4.078, 4.078, 90, 90, 90), 0.5),
    ("gold, primitive cell", (2.884, 2.884, 2.884, 60, 60, 60), 0.5),
    ("quartz", (4.913, 4.913, 5.405, 90, 90, 120), 1.5),
    ("gypsum, I-centred cell", (5.68, 15.20, 6.52, 90, 118.4, 90), 1.0),
    ("albite", (8.14, 12.79, 7.16, 94.2, 116.6, 87.7), 0.5),
)


def row(name, parameters, d_min):
    """Counts with d > d_min: gemmi, orix, diffsims, diffsims with the remedy."""
    cell = gemmi.UnitCell(*parameters)
    half = gemmi.make_miller_array(cell, gemmi.SpaceGroup("P 1"), d_min)
    lattice = Lattice(*parameters)
    atom = Atom("C", (0, 0, 0), lattice=lattice)
    phase = Phase(space_group=1, structure=Structure([atom], lattice))
    orix = Miller.from_min_dspacing(phase, d_min)
    inside = int((orix.norm * d_min < 1).sum())
    diffsims = ReciprocalLatticeVector.from_min_dspacing(phase, d_min)

    axes = zip(parameters[:3], cell.reciprocal().parameters[:3])
    smaller = d_min * min(1 / (axis * other) for axis, other in axes)
    more = ReciprocalLatticeVector.from_min_dspacing(phase, smaller * 0.999)
    remedied = int((more.dspacing > d_min).sum())
    counts = 2 * len(half), inside, orix.size - inside, diffsims.size, remedied
    print(f"{name:24}{d_min:5.1f}", *(f"{count:8d}" for count in counts))
    return counts


def equivalents():
    """Which of the reflections equivalent to 2 1 1 of quartz are there, to 1.5 A."""
    _, parameters, d_min = CELLS[2]
    lattice = Lattice(*parameters)
    atom = Atom("C", (0, 0, 0), lattice=lattice)
    phase = Phase(space_group=154, structure=Structure([atom], lattice))
    found = ReciprocalLatticeVector.from_min_dspacing(phase, d_min)
    found = {tuple(hkl) for hkl in found.hkl.round().astype(int).tolist()}
    group = gemmi.find_spacegroup_by_number(154).operations()
    mates = sorted({tuple(op.apply_to_hkl([2, 1, 1])) for op in group.sym_ops})
    there = [hkl for hkl in mates if hkl in found]
    lost = [hkl for hkl in mates if hkl not in found]
    print("quartz, 2 1 1 and its equivalents: there", *there)
    print("    left out", *lost)
    return len(there), len(lost)


print(f"orix {version('orix')}, diffsims {version('diffsims')}, P1, reflections")
print(f"{'':24}d [A]    gemmi    orix   beyond diffsims with remedy")
rows = [row(*cell) for cell in CELLS]
cubic, *oblique = rows
there, lost = equivalents()
as_described = (
    there
    and lost
    and cubic[0] == cubic[1] == cubic[3]
    and all(right > orix == diffsims for right, orix, _, diffsims, _ in oblique)
    and all(beyond > 0 for _, _, beyond, _, _ in rows)
    and all(right == remedied for right, _, _, _, remedied in rows)
)
sys.exit(0 if as_described else 3)
PYTHON

"${PYTHON:-python3}" -m venv "$folder/venv"
"$python" -m pip install -q --disable-pip-version-check diffsims==0.7.0 orix==0.15.0 \
    diffpy.structure==3.3.1 gemmi==0.7.5 numpy==2.4.6 scipy==1.17.1 numba==0.68.1 \
    >"$folder/pip.log" 2>&1 || { tail -n 5 "$folder/pip.log"; exit 2; }
status=0
"$python" "$folder/count.py" || status=$?
if [[ $status -ne 0 ]]; then
    echo "changed: status $status instead of 0"
    exit 1
fi
