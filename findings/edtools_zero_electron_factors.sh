#!/usr/bin/env bash
# edtools 1.1.1: electron scattering factors of palladium, lanthanum and 18 more are nought.
#
# Versions: edtools 1.1.1 (the newest on PyPI), cctbx-base 2025.11, numpy 1.26.4; Linux,
# Python 3.11.
#
# What happens: edtools.make_shelx writes a shelx.ins for 3D electron diffraction, with the
# coefficients of a scattering factor for electrons in a SFAC instruction of each element. For Y,
# Tc, Ru, Rh, Pd, Te, La, Ce, Pr, Nd, Pm, Sm, Gd, Tb and Dy, and for five ions, all nine
# coefficients are 0.0000. Nothing is reported. Zr, Se and Ta have factors that lack a
# constant (2 % at the origin, 15 to 22 % at sin(theta)/lambda of 0.8 / A).
#
# What it means: to a program that takes SFAC as it stands these atoms do not scatter, and
# they are mostly the heaviest of the compound: a structure is solved and refined as if they
# were not there. Elements that the file has no factors of at all, as Pt, end in a
# KeyError instead. Outside opinion: cctbx.eltbx.e_scattering (Peng, 1996). The same
# file of edtools holds right factors of all of these with five terms, which make_shelx
# does not write.
#
# Remedy for users: look for 0.0000 in the SFAC lines, and take coefficients of the
# International Tables C, 4.3.2.2.
#
# Seen on 2026-11-30:
#
#     edtools 1.1.1: f of the SFAC instruction over that of cctbx, sin(theta)/lambda [1/A]
#     element    0.0    0.25    0.5    0.8
#     Si       0.999   1.002  0.996  0.996
#     Mo       0.998   1.004  0.997  0.995
#     Pd       0.000   0.000  0.000  0.000
#     La       0.000   0.000  0.000  0.000
#     Se       0.980   0.958  0.907  0.822
#     all coefficients 0: y tc ru rh pd te la ce pr nd pm sm gd tb dy
#     no word of it: True
#
# Exits with 0 where this is still so, with 1 where the behaviour has changed, and with 2
# where the packages could not be installed. Needs pip's package index and five minutes;
# PYTHON names the interpreter.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset PYTHONPATH
python=$folder/venv/bin/python

cat >"$folder/factors.py" <<'PYTHON'
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from cctbx.eltbx import e_scattering

S = (0.0, 0.25, 0.5, 0.8)
SHOWN = ("Si", "Mo", "Pd", "La", "Se")
# Elements up to bismuth of which edtools has factors for electrons.
ASKED = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga "
    "Ge As Se Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd "
    "Pm Sm Eu Gd Tb Dy Ta Au Hg Pb Bi"
).split()


def sfac(element):
    """Coefficients in the file that make_shelx writes, and what it says meanwhile."""
    command = [sys.executable, "-m", "edtools.make_shelx", "-c"]
    command += ["10", "11", "12", "90", "95", "90", "-s", "P21/c", "-m", f"{element}4"]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    text = Path("shelx.ins").read_text().replace("=\n", " ")
    line = re.search(r"^SFAC\s+\S+(.*)$", text, re.MULTILINE).group(1)
    return np.array(line.split()[:9], float), said.stdout + said.stderr


found = {element: sfac(element) for element in ASKED}
print(f"edtools {version('edtools')}: f of the SFAC instruction over that of cctbx, ", end="")
print("sin(theta)/lambda [1/A]")
print("element    0.0    0.25    0.5    0.8")
ratio = {}
for element in SHOWN:
    p = found[element][0]
    f = [np.sum(p[:8:2] * np.exp(-p[1:8:2] * s * s)) + p[8] for s in S]
    table = e_scattering.ito_vol_c_2011_table_4_3_2_2_entry_as_gaussian(element, exact=True)
    ratio[element] = np.array(f) / [table.at_stol(s) for s in S]
    print("{:5s}   {:6.3f}  {:6.3f} {:6.3f} {:6.3f}".format(element, *ratio[element]))
nought = [element for element in ASKED if not found[element][0].any()]
silent = not any(said.strip() for _, said in found.values())
print("all coefficients 0:", " ".join(nought).lower())
print(f"no word of it: {silent}")
as_described = (
    len(nought) == 15
    and silent
    and np.allclose(ratio["Si"], 1, atol=0.02)
    and np.allclose(ratio["Mo"], 1, atol=0.03)
    and ratio["Se"][-1] < 0.9
)
sys.exit(0 if as_described else 3)
PYTHON

"${PYTHON:-python3}" -m venv "$folder/venv"
"$python" -m pip install -q --disable-pip-version-check edtools==1.1.1 \
    cctbx-base==2025.11 numpy==1.26.4 >"$folder/pip.log" 2>&1 ||
    { tail -n 5 "$folder/pip.log"; exit 2; }
# make_shelx asks cctbx.python for symmetry, which the wheel of cctbx-base lacks.
mkdir "$folder/bin"
printf '#!/bin/sh\nexec "%s" "$@"\n' "$python" >"$folder/bin/cctbx.python"
chmod +x "$folder/bin/cctbx.python"
status=0
(cd "$folder" && PATH="$folder/bin:$PATH" "$python" factors.py) || status=$?
if [[ $status -ne 0 ]]; then
    echo "changed: status $status instead of 0"
    exit 1
fi
