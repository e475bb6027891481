#!/usr/bin/env bash
# libtbx.phil, cctbx 2025.11: a choice that is called auto comes back as Auto when it is typed.
#
# Versions: cctbx-base 2025.11 (the newest on PyPI), numpy 1.26.4; Linux, Python 3.11.
#
# What happens: of a parameter "algorithm = *auto tukey mcd" with .type = choice
#
#     extracted from its default, or given as algorithm=*auto    the string 'auto'
#     given as algorithm=auto (or Auto, AUTO), in an argument    the object libtbx.Auto,
#         or a file                                              which is not equal to 'auto'
#
# The documentation says that the star may be left out where one value is given, and so it
# may for all other choices. No error is raised, with .optional = False neither, and written
# out again it is "Auto" with no list of choices, where all others are written with the list.
#
# What it means: a program that compares with 'auto' takes the documented default, typed as
# a user types it, for none of its branches; its author, who never types a default, does not
# see it. Choices of that name are usual in DIALS. Remedy for users: leave the parameter out,
# or type algorithm=*auto; for programs: compare with both, or put 'auto' in after parsing.
#
# Seen on 2026-11-30:
#
#     cctbx-base 2025.11
#         (nothing)        'auto'       == 'auto': True  algorithm = *auto tukey mcd
#         algorithm=*auto  'auto'       == 'auto': True  algorithm = *auto tukey mcd
#         algorithm=tukey  'tukey'      == 'auto': False algorithm = auto *tukey mcd
#         algorithm=auto   libtbx.Auto  == 'auto': False algorithm = Auto
#         algorithm=AUTO   libtbx.Auto  == 'auto': False algorithm = Auto
#
# Exits with 0 where this is still so, with 1 where the behaviour has changed, and with 2
# where the packages could not be installed. Needs pip's package index and three minutes;
# PYTHON names the interpreter.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset PYTHONPATH
python=$folder/venv/bin/python

cat >"$folder/auto.py" <<'PYTHON'
import sys
from importlib.metadata import version

from libtbx import Auto
from libtbx.phil import parse

master = parse(
    """
    algorithm = *auto tukey mcd
      .type = choice
      .optional = False
    """
)


def extracted(text):
    """What a program gets for it, and how it is written out again."""
    params = master.fetch(source=parse(text)).extract()
    return params.algorithm, master.format(params).as_str().strip()


print(f"cctbx-base {version('cctbx-base')}")
found = {}
for text in ("", "algorithm=*auto", "algorithm=tukey", "algorithm=auto", "algorithm=AUTO"):
    value, written = found[text] = extracted(text)
    kind = "libtbx.Auto" if value is Auto else repr(value)
    print(f"    {text or '(nothing)':17s}{kind:13s}== 'auto': {value == 'auto'!s:6s}{written}")

as_described = (
    found[""] == found["algorithm=*auto"] == ("auto", "algorithm = *auto tukey mcd")
    and found["algorithm=tukey"] == ("tukey", "algorithm = auto *tukey mcd")
    and all(
        found[text][0] is Auto and found[text][1] == "algorithm = Auto"
        for text in ("algorithm=auto", "algorithm=AUTO")
    )
)
sys.exit(0 if as_described else 3)
PYTHON

"${PYTHON:-python3}" -m venv "$folder/venv"
"$python" -m pip install -q --disable-pip-version-check \
    cctbx-base==2025.11 numpy==1.26.4 scipy==1.17.1 >"$folder/pip.log" 2>&1 ||
    { tail -n 5 "$folder/pip.log"; exit 2; }
status=0
"$python" "$folder/auto.py" "$folder" || status=$?
if [[ $status -ne 0 ]]; then
    echo "changed: status $status instead of 0"
    exit 1
fi
