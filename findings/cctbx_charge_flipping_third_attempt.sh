#!/usr/bin/env bash
# cctbx 2025.11: charge flipping ends with a ValueError at its third attempt.
#
# Versions: cctbx-base 2025.11 (the newest on PyPI), numpy 1.26.4; Linux, Python 3.11.
#
# What happens: smtbx.ab_initio.charge_flipping.solving_iterator makes, by default, up to
# five attempts of 500 cycles to get a phase transition, and allows half as many cycles
# again from the third attempt on. The limit is then 750.0, a float, which
# itertools.islice refuses:
#
#     ValueError: Stop argument for islice() must be None or an integer:
#         0 <= x <= sys.maxsize.
#
# So three of the five attempts are never made. Structures that come out at the third
# attempt stay unsolved, and data that cannot be phased end in this message, which says
# nothing about phasing, instead of max_attempts_exceeded. Data of limited resolution, as
# electron diffraction often gives, meet it most: below, perfect data of ten chance
# structures (P21/c, 14 light atoms, electron scattering factors). With the limit rounded
# to a whole number and nothing else changed, the starting phases, and so the first two
# attempts, are the same.
#
# Remedy for users: the class "Whole" below; or
# solving_iterator(..., max_attempts_to_get_phase_transition=2), which gives up in the
# proper way after two attempts.
#
# Seen on 2026-11-28:
#
#     cctbx-base 2025.11, limit of cycles at the ValueError: 750.0
#     1.1 A, as installed:       7 solved, 0 given up, 3 ValueError
#     1.1 A, whole-number limit: 9 solved, 1 given up, 0 ValueError
#     1.1 A, two attempts only:  7 solved, 3 given up, 0 ValueError
#
# Exits with 0 where this is still so (any ValueError as installed, none otherwise, and
# more structures solved with the whole-number limit), with 1 where the behaviour has
# changed, and with 2 where the packages could not be installed. Needs pip's package index
# and three minutes; PYTHON names the interpreter.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset PYTHONPATH
python=$folder/venv/bin/python

cat >"$folder/phasing.py" <<'PYTHON'
import random
import sys
from collections import Counter
from importlib.metadata import version
from io import StringIO

from cctbx import sgtbx
from cctbx.array_family import flex
from cctbx.development import random_structure
from smtbx.ab_initio import charge_flipping

D_MIN = 1.1


class Whole(charge_flipping.solving_iterator):
    """The same, but its limit of cycles is handed out as a whole number."""

    limit = charge_flipping.solving_iterator.max_solving_iterations

    @property
    def max_solving_iterations(self):
        return int(self.limit)

    @max_solving_iterations.setter
    def max_solving_iterations(self, limit):
        self.limit = limit


def seed(number):
    random.seed(number)
    flex.set_random_seed(number)


def amplitudes(number):
    seed(number)
    structure = random_structure.xray_structure(
        space_group_info=sgtbx.space_group_info("P21/c"),
        elements=["C"] * 9 + ["O"] * 3 + ["N"] * 2,
        volume_per_atom=18.0,
        min_distance=1.2,
        general_positions_only=True,
        u_iso=0.03,
    )
    structure.scattering_type_registry(table="electron")
    f_calc = structure.structure_factors(d_min=D_MIN).f_calc()
    return abs(f_calc).set_observation_type_xray_amplitude()


def outcome(kind, number, **options):
    f_obs = amplitudes(number)
    seed(number)
    solving = kind(
        charge_flipping.weak_reflection_improved_iterator(delta=None),
        f_obs,
        normalisations_for=charge_flipping.amplitude_quasi_normalisations,
        **options,
    )
    try:
        charge_flipping.loop(solving, verbose=False, out=StringIO())
    except ValueError as error:
        if "islice" not in str(error):
            raise
        return "ValueError", solving.max_solving_iterations
    given_up = solving.max_attempts_exceeded or not solving.f_calc_solutions
    return "given up" if given_up else "solved", solving.max_solving_iterations


def counts(kind, **options):
    results = [outcome(kind, number, **options) for number in range(10)]
    limits = {limit for name, limit in results if name == "ValueError"}
    return Counter(name for name, _ in results), limits


installed, limits = counts(charge_flipping.solving_iterator)
whole, _ = counts(Whole)
two, _ = counts(
    charge_flipping.solving_iterator, max_attempts_to_get_phase_transition=2
)
print(f"cctbx-base {version('cctbx-base')}, limit of cycles at the ValueError:", *limits)
for name, count in (
    ("as installed:      ", installed),
    ("whole-number limit:", whole),
    ("two attempts only: ", two),
):
    print(f"{D_MIN} A, {name} {count['solved']} solved, ", end="")
    print(f"{count['given up']} given up, {count['ValueError']} ValueError")
as_described = (
    installed["ValueError"] > 0
    and limits == {750.0}
    and whole["ValueError"] == two["ValueError"] == 0
    and whole["solved"] > installed["solved"]
)
sys.exit(0 if as_described else 3)
PYTHON

"${PYTHON:-python3}" -m venv "$folder/venv"
"$python" -m pip install -q --disable-pip-version-check \
    cctbx-base==2025.11 numpy==1.26.4 scipy==1.17.1 >"$folder/pip.log" 2>&1 ||
    { tail -n 5 "$folder/pip.log"; exit 2; }
status=0
"$python" "$folder/phasing.py" || status=$?
if [[ $status -ne 0 ]]; then
    echo "changed: status $status instead of 0"
    exit 1
fi
