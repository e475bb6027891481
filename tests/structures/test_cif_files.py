"""CIF that would end the process is refused, and nothing else is."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dials_spread.structures.cif_files import read_cif

GOOD = {
    "an ordinary loop": "loop_\n_a\n_b\n1 2\n3 4\n",
    "a comment between": "loop_ # none\n_a # names\n1\n",
    "loops in text": "_t\n;\nloop_\n 1 2\n;\nloop_\n_a\n1\n",
    "a loop in quotes": "_t 'loop_ 1 2'\nloop_\n_a\n1\n",
    "primes": "loop_\n_a\n_b\nC5' 1\nC6' 2\n",
}
BAD = {
    "values alone": "loop_\n 1 2 3\nloop_\n_a\n1\n",
    "quoted values alone": "loop_\n 'x' 'y'\n_a 1\n",
    "cut short": "_b 1\nloop_\n_a\n",
}


@pytest.mark.parametrize("name", GOOD)
def test_what_is_good_is_read(name, tmp_path):
    path = tmp_path / "good.cif"
    path.write_text(f"data_x\n{GOOD[name]}")
    (block,) = read_cif(path).values()
    assert "_a" in block


@pytest.mark.parametrize("name", BAD)
def test_what_ends_the_process_is_refused(name, tmp_path):
    path = tmp_path / "bad.cif"
    path.write_text(f"data_x\n{BAD[name]}")
    with pytest.raises(ValueError, match="bad.cif: .* loop"):
        read_cif(path)


def test_the_parser_itself_does_not_take_it_either(tmp_path):
    path = tmp_path / "bad.cif"
    path.write_text(f"data_x\n{BAD['values alone']}")
    code = f"import iotbx.cif; iotbx.cif.reader(file_path={str(path)!r})"
    # In some releases of cctbx by a crash, which is why it is kept from them.
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode


@pytest.mark.parametrize(
    "text, told",
    [
        ("hello\n", ", line 1: cannot be read, not a CIF (“hello”)"),
        ("data_x\n_a 'abc\n_b 1\n", ", line 2: cannot be read, not a CIF (“_a 'abc”)"),
        ("data_x\n_a 1\nloop_\n_b\n_c\n1 2\n3\n", "too many values in the loop of _b"),
        ("data_x\n_a\n;\nabc\n", "cannot be read, not a CIF"),
        ("data_x\nloop_\n_b\n_c\n1 \0\n2 3\n", ", line 5: a byte of zero, not a CIF"),
    ],
)
def test_a_fault_is_told_with_its_line(text, told, tmp_path):
    path = tmp_path / "x.cif"
    path.write_text(text)
    with pytest.raises(ValueError) as error:
        read_cif(path)
    assert told in str(error.value) and "\n" not in str(error.value)
    assert "memory" not in str(error.value) and "Unexpected" not in str(error.value)
