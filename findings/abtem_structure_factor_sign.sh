#!/usr/bin/env bash
# abTEM 1.0.11 gives the complex conjugates of the structure factors of 1.0.9.
#
# Versions: abTEM 1.0.9 with numpy 1.26.4 and pandas 2.3.3, against abTEM 1.0.11 with numpy
# 2.2.6 and pandas 2.3.3; Linux, Python 3.11.
#
# What happens: abtem.bloch.StructureFactor(...).build() of one carbon atom at a quarter of a
# has F(1 0 0) = -i |F| in 1.0.9 and +i |F| in 1.0.11: F = Σ f exp(-2πi h·x) has become
# exp(+2πi h·x), which is the convention of the International Tables. Absolute values agree.
# Whoever compares phases, or fills a StructureFactorArray with factors of their own, has
# to conjugate them for one of the two releases, and is not told: intensities of a
# centrosymmetric crystal do not show it, those of Friedel mates of a polar or chiral one
# are exchanged.
#
# Seen on 2026-11-29:
#
#     abTEM 1.0.9: phase of F(1 0 0) -90 degrees
#     abTEM 1.0.11: phase of F(1 0 0) 90 degrees
#     ratio of absolute values 1.0000
#
# Exits with 0 where this is still so, with 1 where the behaviour has changed, and with 2
# where the packages could not be installed. Needs pip's package index and five minutes;
# PYTHON names the interpreter.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset PYTHONPATH

cat >"$folder/atom.py" <<'PYTHON'
import warnings

import numpy as np

warnings.simplefilter("ignore")
import abtem
from ase import Atoms

atom = Atoms("C", scaled_positions=[(0.25, 0, 0)], cell=[5, 5, 5], pbc=True)
factors = abtem.bloch.StructureFactor(atom, g_max=0.5, centering="P").build(lazy=False)
hkl = np.asarray(factors.hkl).tolist()
value = np.asarray(factors.array)[hkl.index([1, 0, 0])]
print(abtem.__version__, round(float(np.degrees(np.angle(value)))), abs(value))
PYTHON

look() {
    "${PYTHON:-python3}" -m venv "$folder/$1" || exit 2
    "$folder/$1/bin/python" -m pip install --quiet --disable-pip-version-check \
        "abtem==$1" "$2" pandas==2.3.3 numba==0.61.2 scipy==1.17.1 ase==3.29.0 \
        dask==2026.8.0 distributed==2026.8.0 >/dev/null 2>&1 || exit 2
    "$folder/$1/bin/python" "$folder/atom.py" 2>/dev/null
}

old=$(look 1.0.9 "numpy==1.26.4")
new=$(look 1.0.11 "numpy==2.2.6")
read -r _ old_phase old_size <<<"$old"
read -r _ new_phase new_size <<<"$new"
ratio=$(awk -v a="$new_size" -v b="$old_size" 'BEGIN { printf "%.4f", a / b }')
echo "abTEM 1.0.9: phase of F(1 0 0) $old_phase degrees"
echo "abTEM 1.0.11: phase of F(1 0 0) $new_phase degrees"
echo "ratio of absolute values $ratio"
[ "$old_phase" = -90 ] && [ "$new_phase" = 90 ] && [ "$ratio" = 1.0000 ]
