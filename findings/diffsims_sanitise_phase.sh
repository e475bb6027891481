#!/usr/bin/env bash
# diffsims 0.7.0: sanitise_phase() makes 48 atoms of the 9 in a cell of quartz.
#
# Versions: diffsims 0.7.0 (the newest on PyPI), orix 0.15.0, diffpy.structure 3.3.1,
# gemmi 0.7.5, numpy 2.4.6; Linux, Python 3.11.
#
# What happens: ReciprocalLatticeVector.sanitise_phase() is to fill the unit cell, and its
# documentation calls it before calculate_structure_factor(). It applies the operations of
# the space group to atom.xyz. But orix.crystal_map.Phase has turned the cell to a || x by
# then (diffpy.structure has a* || x), with the atoms left where they were in space: atom.xyz
# are no longer the coordinates along a, b, c. Si of quartz, 0.4697 0 2/3 in the file, is at
# 0.271 -0.271 2/3. Elsewhere diffsims turns them back, but not here. In cells with right
# angles both settings are the same, and the example of the documentation is cubic.
#
# What it means: in hexagonal, trigonal and other oblique cells atoms are made at places
# where there are none; special positions become general ones. A phase from a CIF, which
# has all its atoms already, comes out five times too dense. Structure factors follow,
# without a word. Outside opinions: multiplicities of the International Tables (Si at 3a, O
# at 6c: nine atoms), the density of quartz, 2.65 g/cm3, and gemmi's |F|.
#
# Remedy for users: leave a phase from Phase.from_cif() as it is; fill others with
# phase.expand_asymmetric_unit() of orix, which turns the coordinates back first.
#
# Seen on 2026-11-29:
#
#     diffsims 0.7.0, orix 0.15.0
#     Si 0.4697 0 0.6667 is at 0.2712 -0.2712 0.6667
#     quartz from CIF               9 atoms,  2.65 g/cm3, |F|  7.71
#       after sanitise_phase       48 atoms, 13.42 g/cm3, |F|  9.53
#     Si and O, expanded by orix    9 atoms,  2.65 g/cm3, |F|  7.71
#       sanitise_phase instead     12 atoms,  3.89 g/cm3, |F| 10.99
#     Na and Cl, sanitise_phase     8 atoms,  2.16 g/cm3, |F|  0.00
#     gemmi: |F(1 0 1)| 7.72
#
# Exits with 0 where this is still so, with 1 where the behaviour has changed, and with 2
# where the packages could not be installed. Needs pip's package index and five minutes;
# PYTHON names the interpreter.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset PYTHONPATH
python=$folder/venv/bin/python

cat >"$folder/quartz.cif" <<'CIF'
data_quartz
_cell_length_a 4.913
_cell_length_b 4.913
_cell_length_c 5.405
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 120
_symmetry_space_group_name_H-M 'P 32 2 1'
_symmetry_Int_Tables_number 154
loop_
_symmetry_equiv_pos_as_xyz
'x, y, z'
'-y, x-y, z+2/3'
'-x+y, -x, z+1/3'
'y, x, -z'
'x-y, -y, -z+1/3'
'-x, -x+y, -z+2/3'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_U_iso_or_equiv
Si1 Si 0.4697 0 0.66666667 0
O1 O 0.4133 0.2672 0.7856 0
CIF

cat >"$folder/atoms.py" <<'PYTHON'
import sys
import warnings
from importlib.metadata import version

import gemmi
import numpy as np

warnings.simplefilter("ignore")

from diffpy.structure import Atom, Lattice, Structure
from diffsims.crystallography import ReciprocalLatticeVector
from orix.crystal_map import Phase

HKL = (1, 0, 1)


def told(name, phase):
    """Atoms, density [g/cm3] and |F(1 0 1)| of a phase as it stands."""
    structure = phase.structure
    mass = sum(gemmi.Element(atom.element).weight for atom in structure)
    density = mass / structure.lattice.volume / 0.602214
    vectors = ReciprocalLatticeVector(phase, hkl=[HKL])
    vectors.calculate_structure_factor()
    size = abs(vectors.structure_factor[0])
    print(f"{name:28}{len(structure):3} atoms, {density:5.2f} g/cm3, |F| {size:5.2f}")
    return len(structure), size


def sanitised(phase):
    vectors = ReciprocalLatticeVector(phase.deepcopy(), hkl=[HKL])
    vectors.sanitise_phase()
    return vectors.phase


def phase_of(group, cell, atoms):
    lattice = Lattice(*cell)
    atoms = [Atom(element, xyz, lattice=lattice) for element, xyz in atoms]
    return Phase(space_group=group, structure=Structure(atoms, lattice))


print(f"diffsims {version('diffsims')}, orix {version('orix')}")
from_cif = Phase.from_cif(sys.argv[1])
two_atoms = phase_of(
    154,
    (4.913, 4.913, 5.405, 90, 90, 120),
    [("Si", (0.4697, 0, 2 / 3)), ("O", (0.4133, 0.2672, 0.7856))],
)
salt = phase_of(
    225, (5.64, 5.64, 5.64, 90, 90, 90), [("Na", (0, 0, 0)), ("Cl", (0.5, 0.5, 0.5))]
)

crystal = gemmi.read_small_structure(sys.argv[1])
crystal.change_occupancies_to_crystallographic()
calculator = gemmi.StructureFactorCalculatorE(crystal.cell)
right = abs(calculator.calculate_sf_from_small_structure(crystal, HKL))

print("Si 0.4697 0 0.6667 is at", *np.round(two_atoms.structure[0].xyz, 4))
read, read_f = told("quartz from CIF", from_cif)
made, made_f = told("  after sanitise_phase", sanitised(from_cif))
filled, filled_f = told("Si and O, expanded by orix", two_atoms.expand_asymmetric_unit())
false, false_f = told("  sanitise_phase instead", sanitised(two_atoms))
cubic, _ = told("Na and Cl, sanitise_phase", sanitised(salt))
print(f"gemmi: |F(1 0 1)| {right:.2f}")

as_described = (
    read == filled == 9
    and cubic == 8
    and made > 18
    and false > 9
    and abs(read_f / right - 1) < 0.02
    and abs(filled_f / right - 1) < 0.02
    and abs(made_f / right - 1) > 0.1
    and abs(false_f / right - 1) > 0.1
)
sys.exit(0 if as_described else 3)
PYTHON

"${PYTHON:-python3}" -m venv "$folder/venv"
"$python" -m pip install -q --disable-pip-version-check diffsims==0.7.0 orix==0.15.0 \
    diffpy.structure==3.3.1 gemmi==0.7.5 numpy==2.4.6 scipy==1.17.1 numba==0.68.1 \
    >"$folder/pip.log" 2>&1 || { tail -n 5 "$folder/pip.log"; exit 2; }
status=0
"$python" "$folder/atoms.py" "$folder/quartz.cif" || status=$?
if [[ $status -ne 0 ]]; then
    echo "changed: status $status instead of 0"
    exit 1
fi
