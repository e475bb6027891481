#!/usr/bin/env bash
# abTEM 1.0.9: Bloch waves fail with pandas 3 (and with Copy-on-Write of pandas 2).
#
# Versions: abTEM 1.0.9, numpy 1.26.4, pandas 3.0.6 against 2.3.3; Linux, Python 3.11.
#
# What happens: abtem.bloch.utils.retrieve_structure_factor_values looks structure
# factors up in a pandas Series and gives back `series.loc[indices].to_numpy()`. Under
# Copy-on-Write, which pandas 3 cannot be without, to_numpy() hands out the memory of the
# Series as an array that is not writeable, even where nothing else holds that Series.
# abtem.bloch.dynamical.calculate_structure_matrix multiplies this array in place:
#
#     ValueError: output array is read-only
#
# so that no Bloch-wave calculation comes to an end. The cause is Copy-on-Write and no
# other change of pandas 3: pandas 2.3.3 computes the same crystal without it, and fails
# in the same way with it. Remedy for users: pip install 'pandas<3', or abTEM 1.0.11, which
# computes this crystal with pandas 3.1.1 (1.0.10 fails as 1.0.9 does).
#
# Seen on 2026-11-28:
#
#     pandas 3.0.6: ValueError: output array is read-only
#         in calculate_structure_matrix; to_numpy() of a selection is writeable: False
#     pandas 2.3.3: 21 beams of silicon, sum of intensities 1.000000
#         to_numpy() of a selection is writeable: True
#     pandas 2.3.3, Copy-on-Write: ValueError: output array is read-only
#         in calculate_structure_matrix; to_numpy() of a selection is writeable: False
#
# Exits with 0 where this is still so, with 1 where the behaviour has changed, and with 2
# where the packages could not be installed. Needs pip's package index and five minutes;
# PYTHON names the interpreter.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset PYTHONPATH
python=$folder/venv/bin/python

cat >"$folder/silicon.py" <<'PYTHON'
import sys
import traceback
import warnings

import numpy as np
import pandas as pd

name = f"pandas {pd.__version__}"
if "copy-on-write" in sys.argv:
    pd.options.mode.copy_on_write = True
    name += ", Copy-on-Write"
warnings.simplefilter("ignore")

import abtem
from ase.build import bulk

selected = pd.Series(np.arange(4.0)).loc[[0, 2, 2]].to_numpy()
told = f"to_numpy() of a selection is writeable: {selected.flags.writeable}"

silicon = bulk("Si", "diamond", a=5.431, cubic=True)
factors = abtem.bloch.StructureFactor(silicon, g_max=2.0)
waves = abtem.bloch.BlochWaves(factors, energy=200e3, sg_max=0.05)
try:
    pattern = waves.calculate_diffraction_patterns(thicknesses=[100.0], lazy=False)
except ValueError as error:
    where = traceback.extract_tb(error.__traceback__)[-1].name
    print(f"{name}: ValueError: {error}\n    in {where}; {told}")
    sys.exit(3 if "read-only" in str(error) and not selected.flags.writeable else 4)
intensity = np.asarray(pattern.array)
total = intensity.sum()
print(f"{name}: {intensity.size} beams of silicon, sum of intensities {total:.6f}")
print(f"    {told}")
sys.exit(0 if abs(total - 1) < 1e-6 and selected.flags.writeable else 4)
PYTHON

"${PYTHON:-python3}" -m venv "$folder/venv"

install() {
    "$python" -m pip install -q --disable-pip-version-check "$@" >"$folder/pip.log" 2>&1 ||
        { tail -n 5 "$folder/pip.log"; exit 2; }
}

changed=0
# run EXPECTED_STATUS ARGUMENTS...: 0 computes, 3 fails as described.
run() {
    local expected=$1 status=0
    shift
    "$python" "$folder/silicon.py" "$@" || status=$?
    if [[ $status -ne $expected ]]; then
        echo "changed: status $status instead of $expected"
        changed=1
    fi
}

install abtem==1.0.9 numpy==1.26.4 numba==0.61.2 scipy==1.17.1 ase==3.29.0 \
    dask==2026.8.0 distributed==2026.8.0 pandas==3.0.6
run 3
install pandas==2.3.3
run 0
run 3 copy-on-write
exit "$changed"
