#!/usr/bin/env bash
# cctbx 2025.11: SHELX files get sigmas that run over into the batch number.
#
# Versions: cctbx-base 2025.11 (the newest on PyPI), numpy 1.26.4; Linux, Python 3.11.
#
# What happens: a line of an HKLF 4 file has fixed columns, 3I4, 2F8.2, I4: sigma ends in
# column 28, and the batch number follows. iotbx.reflection_file_converter --shelx (also
# as phenix.reflection_file_converter) calls export_as_shelx_hklf with
# full_dynamic_range=True, unless told otherwise. This writes sigma with six significant
# digits but does not hold it to eight characters: 0.0425532 takes nine, and below 1e-4
# there is an exponent, 2.34567e-05. Intensities are held to eight.
#
# What it means: nothing is reported. Read by columns, the last digits of sigma are a batch
# number (1 to 9 below), so that one crystal seems to be several; where the exponent is cut
# off, the file cannot be read, iotbx's own reader included. It takes sigmas below 0.1:
# usual for intensities on the absolute scale of electron scattering factors, for small
# cells, and for data scaled to a mean of about one; rare for X-ray counts. Below: quartz
# to 0.8 A, calculated with electron factors, sigma = 0.03 I + 0.01.
#
# Remedy for users: --scale_max=99999, which multiplies the data before they are written;
# or --shelx_std_dynamic_range, if two decimals are enough.
#
# Seen on 2026-11-28:
#
#     cctbx-base 2025.11, iotbx.reflection_file_converter --shelx: 103 reflections,
#         of 48 the line is longer than 28 characters, as
#         |   1   0  -51.0851050.0425532|
#     read by iotbx: batch numbers 1 2 3 4 5 6 7 8 9 for 48
#     with --scale_factor=0.001: 103 lines too long, 56 of them with an exponent;
#         reader: RuntimeError: End of input while reading floating-point value.
#     with --scale_max=99999: 0 lines too long, no batch numbers
#     with --shelx_std_dynamic_range: 0 lines too long, no batch numbers
#
# Exits with 0 where this is still so, with 1 where the behaviour has changed, and with 2
# where the packages could not be installed. Needs pip's package index and three minutes;
# PYTHON names the interpreter.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset PYTHONPATH
python=$folder/venv/bin/python

cat >"$folder/quartz.py" <<'PYTHON'
import pathlib
import subprocess
import sys
from importlib.metadata import version

from cctbx import crystal, xray
from cctbx.array_family import flex
from iotbx.shelx import hklf

folder = pathlib.Path(sys.argv[1])
program = pathlib.Path(sys.executable).with_name("iotbx.reflection_file_converter")

symmetry = crystal.symmetry((4.913, 4.913, 5.405, 90, 90, 120), "P3221")
atoms = [
    xray.scatterer("Si1", (0.4697, 0, 1 / 3), u=0.01, scattering_type="Si"),
    xray.scatterer("O1", (0.4133, 0.2672, 0.2144), u=0.01, scattering_type="O"),
]
quartz = xray.structure(
    crystal_symmetry=symmetry, scatterers=flex.xray_scatterer(atoms)
)
quartz.scattering_type_registry(table="electron")
exact = quartz.structure_factors(d_min=0.8).f_calc().as_intensity_array()
intensities = exact.customized_copy(sigmas=0.03 * exact.data() + 0.01)
intensities.set_observation_type_xray_intensity()
mtz = intensities.as_mtz_dataset(column_root_label="I").mtz_object()
mtz.write(str(folder / "quartz.mtz"))


def convert(*options):
    """Lines written, those too long, and batch numbers or an error from iotbx."""
    hkl = folder / "quartz.hkl"
    subprocess.run(
        [program, folder / "quartz.mtz", f"--shelx={hkl}", *options],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    lines = hkl.read_text().split("   0   0   0 ")[0].splitlines()
    long = [line for line in lines if len(line) > 28]
    try:
        batches = hklf.reader(file_name=str(hkl)).batch_numbers()
    except RuntimeError as error:
        return lines, long, f"RuntimeError: {error}"
    return lines, long, list(batches or [])


lines, long, batches = convert()
others = [number for number in batches if number]
print(f"cctbx-base {version('cctbx-base')}, {program.name} --shelx: ", end="")
print(f"{len(lines)} reflections,\n    of {len(long)} the line is longer than 28 ", end="")
print(f"characters, as\n    |{long[1] if len(long) > 1 else ''}|")
print("read by iotbx: batch numbers", *sorted(set(others)), f"for {len(others)}")

_, small_long, small_error = convert("--scale_factor=0.001")
exponents = sum("e-" in line for line in small_long)
print(f"with --scale_factor=0.001: {len(small_long)} lines too long, ", end="")
print(f"{exponents} of them with an exponent;\n    reader: {small_error}")

remedied = []
for option in ("--scale_max=99999", "--shelx_std_dynamic_range"):
    _, too_long, found = convert(option)
    remedied.append(not too_long and not found)
    print(f"with {option}: {len(too_long)} lines too long, ", end="")
    print("batch numbers" if found else "no batch numbers")

as_described = (
    len(lines) == exact.size()
    and len(long) > 40
    and len(set(others)) > 1
    and exponents > 0
    and "floating-point" in str(small_error)
    and all(remedied)
)
sys.exit(0 if as_described else 3)
PYTHON

"${PYTHON:-python3}" -m venv "$folder/venv"
"$python" -m pip install -q --disable-pip-version-check \
    cctbx-base==2025.11 numpy==1.26.4 scipy==1.17.1 >"$folder/pip.log" 2>&1 ||
    { tail -n 5 "$folder/pip.log"; exit 2; }
status=0
"$python" "$folder/quartz.py" "$folder" || status=$?
if [[ $status -ne 0 ]]; then
    echo "changed: status $status instead of 0"
    exit 1
fi
