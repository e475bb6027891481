#!/usr/bin/env bash
# cctbx 2025.11: merging statistics name the limits of 1/d^2 the wrong way round.
#
# Versions: cctbx-base 2025.11 (the newest on PyPI) and 2025.9 (the oldest there),
# numpy 1.26.4; Linux, Python 3.11.
#
# What happens: dataset_statistics of iotbx.merging_statistics, and every shell of it,
# writes with as_dict() (and so with as_json())
#
#     d_star_sq_min = 1/d_min^2    the larger value, the high-resolution limit
#     d_star_sq_max = 1/d_max^2    the smaller value, the low-resolution limit
#
# so that d_star_sq_min > d_star_sq_max, overall and in every shell. The attributes d_min
# and d_max, and the limits in as_cif_block(), are right. No docstring describes the keys.
#
# What it means: dials.merge (DIALS 3.12) and xia2.multiplex (3.29) put this dictionary
# unchanged into their JSON as "merging_stats". Who reads there 1/sqrt(d_star_sq_max) as
# the resolution of the data gets the low-resolution limit (12 A instead of 1 A below), a
# plausible number that no program complains about; and shells from d_star_sq_min to
# d_star_sq_max have negative widths. Remedy for users: take the smaller of the two as the
# minimum, whatever its name, which stays right should the names be mended.
#
# Seen on 2026-11-28:
#
#     cctbx-base 2025.11: data from 12.00 to 1.00 A
#         overall: d_star_sq_min 1.0000, d_star_sq_max 0.0069
#         shells, d_star_sq_min: 0.343 0.543 0.712 0.862 1.000
#         shells, d_star_sq_max: 0.007 0.343 0.543 0.712 0.862
#         as_cif_block: d_resolution_low 12.00, d_resolution_high 1.00
#     cctbx-base 2025.9: the same
#
# Exits with 0 where this is still so, with 1 where the behaviour has changed, and with 2
# where the packages could not be installed. Needs pip's package index and three minutes;
# PYTHON names the interpreter.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset PYTHONPATH
python=$folder/venv/bin/python

cat >"$folder/limits.py" <<'PYTHON'
import json
import sys
from importlib.metadata import version

from cctbx import crystal, miller
from cctbx.array_family import flex
from iotbx import merging_statistics

symmetry = crystal.symmetry(
    unit_cell=(10, 11, 12, 90, 90, 90), space_group_symbol="P222"
)
unique = miller.build_set(symmetry, anomalous_flag=False, d_min=1.0)
twice = miller.set(symmetry, unique.indices().concatenate(unique.indices()), False)
values = flex.double([100.0 + i % 7 for i in range(twice.size())])
intensities = twice.array(values, flex.double(twice.size(), 3.0))
intensities.set_observation_type_xray_intensity()
statistics = merging_statistics.dataset_statistics(intensities, n_bins=5)

overall = statistics.overall
written = json.loads(statistics.as_json())
low, high = written["overall"]["d_star_sq_min"], written["overall"]["d_star_sq_max"]
lows, highs = written["d_star_sq_min"], written["d_star_sq_max"]
block = statistics.as_cif_block()
cif_low = float(block["_reflns.d_resolution_low"])
cif_high = float(block["_reflns.d_resolution_high"])

name = f"cctbx-base {version('cctbx-base')}"
print(f"{name}: data from {overall.d_max:.2f} to {overall.d_min:.2f} A")
print(f"    overall: d_star_sq_min {low:.4f}, d_star_sq_max {high:.4f}")
print("    shells, d_star_sq_min:", *(f"{value:.3f}" for value in lows))
print("    shells, d_star_sq_max:", *(f"{value:.3f}" for value in highs))
print(f"    as_cif_block: d_resolution_low {cif_low:.2f}, ", end="")
print(f"d_resolution_high {cif_high:.2f}")


def near(one, other):
    return abs(one - other) < 1e-6


right = near(overall.d_min, cif_high) and near(overall.d_max, cif_low)
exchanged = (
    near(low, 1 / overall.d_min**2)
    and near(high, 1 / overall.d_max**2)
    and low > high
    and len(lows) == len(highs) == 5
    and all(one > other for one, other in zip(lows, highs))
)
sys.exit(0 if right and exchanged else 3)
PYTHON

"${PYTHON:-python3}" -m venv "$folder/venv"

changed=0
for version in 2025.11 2025.9; do
    "$python" -m pip install -q --disable-pip-version-check \
        "cctbx-base==$version" numpy==1.26.4 >"$folder/pip.log" 2>&1 ||
        { tail -n 5 "$folder/pip.log"; exit 2; }
    status=0
    "$python" "$folder/limits.py" || status=$?
    if [[ $status -ne 0 ]]; then
        echo "changed: status $status instead of 0"
        changed=1
    fi
done
exit "$changed"
