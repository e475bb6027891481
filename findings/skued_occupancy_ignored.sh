#!/usr/bin/env bash
# scikit-ued 2.2.1: structure factors know of no occupancy, and of no Debye-Waller factor.
#
# Versions: scikit-ued 2.2.1 and crystals 1.7.0 (the newest on PyPI), gemmi 0.7.5, numpy 2.4.6;
# Linux, Python 3.11.
#
# What happens: crystals reads _atom_site_occupancy, and its atoms have it. skued.structure_factor,
# and with it skued.powdersim, adds up a whole atom of each: a site of which a quarter
# is occupied scatters as a full one, two places of a disordered atom as two atoms. crystals
# reads no displacement parameters, and skued applies none, although the description of the function
# says that it takes the Debye-Waller effect into account. Nothing is reported.
#
# What it means: a solid solution, a vacancy, disordered water or the cations of a zeolite
# scatter up to several times what they should; without displacements intensities at
# high angles are too strong, threefold below at 1.15 A. Of an ordered crystal at low
# angle nothing is wrong. Outside opinion: gemmi, electron form factors, of the same file.
#
# Remedy for users: none in the call; add up skued.affe(atom, q) times atom.occupancy and
# exp(-B / 4 d^2), with B from the file by another reader.
#
# Seen on 2026-11-30:
#
#     scikit-ued 2.2.1: amplitude of a reflection over that with full occupancy and B = 0
#     Na of rock salt          4 2 2: skued  gemmi
#     occupied by a quarter           1.000  0.704
#     B = 3 A^2 for both              1.000  0.568
#     occupancy of the atom that skued was given: 0.25
#
# Exits with 0 where this is still so, with 1 where the behaviour has changed, and with 2
# where the packages could not be installed. Needs pip's package index and three minutes;
# PYTHON names the interpreter.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset PYTHONPATH
python=$folder/venv/bin/python

cat >"$folder/salt.py" <<'PYTHON'
import sys
from importlib.metadata import version

import gemmi
import numpy as np
import skued
from crystals import Crystal

HKL = (4, 2, 2)
CIF = """data_salt
_cell_length_a 5.64
_cell_length_b 5.64
_cell_length_c 5.64
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'F m -3 m'
_symmetry_Int_Tables_number 225
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
_atom_site_B_iso_or_equiv
Na1 Na 0 0 0 {occupancy} {B}
Cl1 Cl 0.5 0.5 0.5 1 {B}
"""


def amplitudes(name, occupancy, B):
    """By skued and by gemmi, and the occupancy of sodium that skued was given."""
    with open(name, "w") as file:
        file.write(CIF.format(occupancy=occupancy, B=B))
    crystal = Crystal.from_cif(name)
    assert len(crystal) == 8
    ours = abs(skued.structure_factor(crystal, *HKL)[0])
    small = gemmi.read_small_structure(name)
    # Occupancies of special positions are of sites here, and of operations there.
    small.change_occupancies_to_crystallographic()
    factors = gemmi.StructureFactorCalculatorE(small.cell)
    theirs = abs(factors.calculate_sf_from_small_structure(small, HKL))
    sodium = next(atom for atom in crystal if atom.element == "Na")
    return np.array([ours, theirs]), sodium.occupancy


full, _ = amplitudes("full.cif", 1, 0)
quarter, given = amplitudes("quarter.cif", 0.25, 0)
warm, _ = amplitudes("warm.cif", 1, 3)
print(f"scikit-ued {version('scikit-ued')}: amplitude of a reflection over that with ", end="")
print("full occupancy and B = 0")
print("Na of rock salt          {} {} {}: skued  gemmi".format(*HKL))
print("occupied by a quarter           {:5.3f}  {:5.3f}".format(*quarter / full))
print("B = 3 A^2 for both              {:5.3f}  {:5.3f}".format(*warm / full))
print(f"occupancy of the atom that skued was given: {given}")
promised = "Debye-Waller" in skued.structure_factor.__doc__
as_described = (
    given == 0.25
    and promised
    and np.allclose([quarter[0], warm[0]], full[0])
    and quarter[1] < 0.9 * full[1]
    and warm[1] < 0.8 * full[1]
)
sys.exit(0 if as_described else 3)
PYTHON

"${PYTHON:-python3}" -m venv "$folder/venv"
"$python" -m pip install -q --disable-pip-version-check scikit-ued==2.2.1 crystals==1.7.0 \
    gemmi==0.7.5 numpy==2.4.6 >"$folder/pip.log" 2>&1 ||
    { tail -n 5 "$folder/pip.log"; exit 2; }
status=0
(cd "$folder" && "$python" salt.py) || status=$?
if [[ $status -ne 0 ]]; then
    echo "changed: status $status instead of 0"
    exit 1
fi
