#!/usr/bin/env bash
# Dans_Diffraction 3.4.0: angles of electrons are computed with the wavelength of photons.
#
# Versions: Dans_Diffraction 3.4.0 (the newest on PyPI), numpy 2.4.6; Linux, Python 3.11.
#
# What happens: Scatter takes "electron" as a type of scattering and uses electron
# scattering factors, but holds the beam as an energy only, and turns it into angles by
# hc / E whatever the type. Electrons of 200 keV (0.0251 A) are said to have 0.0620 A. Given
# the wavelength instead, setup_scatter() makes an energy of it without relativity, 239 keV,
# and this becomes 0.0518 A: the wavelength asked for is not the one used, or shown.
# Given to powder() itself, the wavelength is kept (as photons of 494 keV). Neither
# the documentation of setup_scatter() nor that of powder() tells any of this.
#
# What it means: scattering angles 2.5 and 2.1 times too large; lines of a powder pattern at
# the wrong places, and angular limits that let in the wrong reflections. Structure
# factors, d and q are right. electron_wavelength() would not mend it: its formula, given in
# the documentation, has no relativity and makes 0.0274 A of 200 keV, 9 % too long. Outside
# opinion: lambda = h / sqrt(2 m e V (1 + e V / (2 m c^2))) and the law of Bragg.
#
# Remedy for users: units="q" (or "dspace") in powder(), and angles by hand; or
# powder(..., wavelength_a=...), never setup_scatter().
#
# Seen on 2026-11-29:
#
#     Dans_Diffraction 3.4.0, gold, electrons of 200 kV
#     by the formulas                    0.02508 A, 311 at 1.169 degrees
#     setup_scatter(energy_kev=200)      0.06199 A, 311 at 2.889 degrees
#     setup_scatter(wavelength_a=0.0251) 0.05184 A, 311 at 2.416 degrees
#     powder(wavelength_a=0.0251)                   311 at 1.169 degrees
#     electron_wavelength(200e3)         0.02742 A
#
# Exits with 0 where this is still so, with 1 where the behaviour has changed, and with 2
# where the packages could not be installed. Needs pip's package index and three minutes;
# PYTHON names the interpreter.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset PYTHONPATH
python=$folder/venv/bin/python

cat >"$folder/gold.py" <<'PYTHON'
import contextlib
import io
import re
import sys
from importlib.metadata import version

import matplotlib
import numpy as np
from scipy.constants import c, e, h, m_e

matplotlib.use("Agg")

import Dans_Diffraction as dif

A = 4.0782  # gold [A]
VOLTS = 200e3
WAVELENGTH = 1e10 * h / np.sqrt(2 * m_e * e * VOLTS * (1 + e * VOLTS / (2 * m_e * c**2)))


def two_theta(wavelength):
    """Scattering angle of 311 [degrees]."""
    return 2 * np.degrees(np.arcsin(wavelength * np.sqrt(11) / (2 * A)))


def gold():
    crystal = dif.Crystal()
    crystal.Cell.latt([A, A, A, 90, 90, 90])
    crystal.new_atoms(
        u=[0, 0, 0.5, 0.5],
        v=[0, 0.5, 0, 0.5],
        w=[0, 0.5, 0.5, 0],
        type=["Au"] * 4,
        label=["Au"] * 4,
        occupancy=[1] * 4,
        uiso=[0] * 4,
    )
    return crystal.Scatter


def outcome(name, given_to_powder=None, **beam):
    """Wavelength shown, and angle of 311 in the powder pattern."""
    scatter = gold()
    with contextlib.redirect_stdout(io.StringIO()):
        scatter.setup_scatter("electron", min_twotheta=1, max_twotheta=3.2, **beam)
    shown = float(re.search(r"Wavelength: ([\d.]+) A", str(scatter)).group(1))
    options = given_to_powder or {}
    rows = scatter.powder("electron", units="tth", min_overlap=1e-4, **options)[2]
    found = [row[3] for row in rows if sorted(abs(row[:3])) == [1, 1, 3]]
    angle = float(np.mean(found)) if found else float("nan")
    shown_as = "" if given_to_powder else f"{shown:.5f} A, "
    print(f"{name:35}{shown_as:11}311 at {angle:.3f} degrees")
    return shown, angle


print(f"Dans_Diffraction {version('Dans_Diffraction')}, gold, electrons of 200 kV")
print(f"{'by the formulas':35}{WAVELENGTH:.5f} A, ", end="")
print(f"311 at {two_theta(WAVELENGTH):.3f} degrees")
by_energy = outcome("setup_scatter(energy_kev=200)", energy_kev=200)
by_length = outcome(
    f"setup_scatter(wavelength_a={WAVELENGTH:.4f})", wavelength_a=WAVELENGTH
)
kept = outcome(
    f"powder(wavelength_a={WAVELENGTH:.4f})",
    given_to_powder={"wavelength_a": WAVELENGTH},
    energy_kev=200,
)
alone = dif.fc.electron_wavelength(VOLTS)
print(f"electron_wavelength(200e3)         {alone:.5f} A")

as_described = (
    abs(WAVELENGTH - 0.02508) < 1e-5
    and abs(by_energy[0] - 0.06199) < 1e-4
    and abs(by_energy[1] - two_theta(by_energy[0])) < 1e-3
    and abs(by_length[0] - 0.05184) < 1e-4
    and abs(by_length[1] - two_theta(by_length[0])) < 1e-3
    and abs(kept[1] - two_theta(WAVELENGTH)) < 1e-3
    and abs(alone - 0.02742) < 1e-5
)
sys.exit(0 if as_described else 3)
PYTHON

"${PYTHON:-python3}" -m venv "$folder/venv"
"$python" -m pip install -q --disable-pip-version-check Dans_Diffraction==3.4.0 \
    numpy==2.4.6 scipy==1.17.1 matplotlib==3.11.2 >"$folder/pip.log" 2>&1 ||
    { tail -n 5 "$folder/pip.log"; exit 2; }
status=0
"$python" "$folder/gold.py" || status=$?
if [[ $status -ne 0 ]]; then
    echo "changed: status $status instead of 0"
    exit 1
fi
