#!/usr/bin/env bash
# diffsims 0.7.0: equivalent reflections get one phase, even Friedel mates.
#
# Versions: diffsims 0.7.0 (the newest on PyPI), orix 0.15.0, diffpy.structure 3.3.1,
# numpy 2.4.6; Linux, Python 3.11.
#
# What happens: ReciprocalLatticeVector.calculate_structure_factor() computes the structure
# factor of one vector of each set that the point group makes equivalent, and gives it to
# the others as it stands. Amplitudes of a set agree, phases do not: a screw axis, a glide
# plane or an origin off the centre shifts them, F(hR) = F(h) exp(-2 pi i h.t), and
# F(-h) is the conjugate of F(h). The documentation promises the complex factor of each
# vector. A vector asked for alone has the right phase; among its equivalents it has
# that of another, so that the answer depends on the company.
#
# What it means: intensities of single reflections are right. Whatever adds factors up is
# not: Bloch waves, three-beam phases, maps. A real potential gets an imaginary
# part, like absorption. Nothing is reported; of a crystal with its origin on a centre and
# no screw or glide nothing is wrong. Outside opinion: the sum over the eight atoms
# of silicon by hand (all of one kind, so that only exp(2 pi i h.x) counts).
#
# Remedy for users: one call a vector, as below.
#
# Seen on 2026-11-29:
#
#     diffsims 0.7.0: phases of silicon [degrees], atoms at 0 0 0 and 1/4 1/4 1/4
#        h  k  l  together  alone  sum over atoms
#       1  1  1       -45    -45             -45
#       1  1 -1       -45     45              45
#       1 -1  1       -45     45              45
#       1 -1 -1       -45    -45             -45
#      -1  1  1       -45     45              45
#      -1  1 -1       -45    -45             -45
#      -1 -1  1       -45    -45             -45
#      -1 -1 -1       -45     45              45
#     amplitudes, together over alone: 1.0000 to 1.0000
#     imaginary part of the potential: 1.00 of the real one, 0.00 from vectors asked for alone
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
import warnings
from importlib.metadata import version
from itertools import product

import numpy as np

warnings.simplefilter("ignore")

from diffpy.structure import Atom, Lattice, Structure
from diffsims.crystallography import ReciprocalLatticeVector
from orix.crystal_map import Phase

FAMILY = np.array(list(product((1, -1), repeat=3)))

lattice = Lattice(5.431, 5.431, 5.431, 90, 90, 90)
faces = np.array([(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)])
places = np.concatenate([faces, faces + 0.25])
atoms = [Atom("Si", xyz, lattice=lattice) for xyz in places]
silicon = Phase(space_group=227, structure=Structure(atoms, lattice))


def factors(hkl):
    vectors = ReciprocalLatticeVector(silicon, hkl=hkl)
    vectors.calculate_structure_factor()
    assert np.allclose(vectors.hkl, hkl)
    return np.asarray(vectors.structure_factor)


def imaginary(values):
    """Largest imaginary part of the Fourier sum along 1 1 1, over the largest real."""
    where = np.outer(np.linspace(0, 1, 400), (1, 1, 1))
    wave = np.exp(-2j * np.pi * where @ FAMILY.T) @ values
    return abs(wave.imag).max() / abs(wave.real).max()


def degrees(values):
    return np.degrees(np.angle(values)).round().astype(int)


together = factors(FAMILY)
alone = np.array([factors([hkl])[0] for hkl in FAMILY])
right = np.exp(2j * np.pi * FAMILY @ places.T).sum(axis=1)

print(f"diffsims {version('diffsims')}: phases of silicon [degrees], ", end="")
print("atoms at 0 0 0 and 1/4 1/4 1/4")
print("   h  k  l  together  alone  sum over atoms")
for hkl, *row in zip(FAMILY, degrees(together), degrees(alone), degrees(right)):
    print("", *(f"{index:2d}" for index in hkl), "{:9d} {:6d} {:15d}".format(*row))
sizes = abs(together) / abs(alone)
print(f"amplitudes, together over alone: {sizes.min():.4f} to {sizes.max():.4f}")
print(f"imaginary part of the potential: {imaginary(together):.2f} of the ", end="")
print(f"real one, {imaginary(alone):.2f} from vectors asked for alone")

as_described = (
    np.allclose(sizes, 1)
    and np.allclose(alone / abs(alone), right / abs(right))
    and np.allclose(together, together[0])
    and imaginary(together) > 0.1
    and imaginary(alone) < 1e-6
)
sys.exit(0 if as_described else 3)
PYTHON

"${PYTHON:-python3}" -m venv "$folder/venv"
"$python" -m pip install -q --disable-pip-version-check diffsims==0.7.0 orix==0.15.0 \
    diffpy.structure==3.3.1 numpy==2.4.6 scipy==1.17.1 numba==0.68.1 \
    >"$folder/pip.log" 2>&1 || { tail -n 5 "$folder/pip.log"; exit 2; }
status=0
"$python" "$folder/silicon.py" || status=$?
if [[ $status -ne 0 ]]; then
    echo "changed: status $status instead of 0"
    exit 1
fi
