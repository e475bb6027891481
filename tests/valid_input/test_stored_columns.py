"""Some columns of a file, against what DIALS itself reads and writes."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest

from cctbx.array_family import flex as cctbx_flex
from dials.array_family import flex

from dials_spread.output_files import write_together
from dials_spread.valid_input.columns import READ
from dials_spread.valid_input.reading import Refused, read_table
from dials_spread.valid_input.stored_columns import (
    HoldsTexts,
    OtherFormat,
    Rewritten,
    check_columns,
    column_by_column,
    find_columns,
    read_columns,
)


@pytest.fixture
def table():
    """One column of each type that has a fixed size."""
    n, rng = 7, np.random.default_rng(1)
    made = flex.reflection_table()
    made["id"] = flex.int([0, 0, 0, 1, 1, -1, 1])
    made["flags"] = flex.size_t(range(n))
    made["miller_index"] = flex.miller_index([(k, -k, 2) for k in range(n)])
    made["lp"] = flex.double(rng.normal(size=n))
    made["s1"] = flex.vec3_double(rng.normal(size=(n, 3)))
    made["pair"] = flex.vec2_double(rng.normal(size=(n, 2)))
    made["matrix"] = flex.mat3_double(n)
    made["bbox"] = flex.int6(n)
    made["chosen"] = flex.bool([True, False] * 3 + [True])
    made.experiment_identifiers()[0] = "é" * 40
    made.experiment_identifiers()[1] = "b"
    return made


@pytest.fixture
def file(table, tmp_path):
    path = tmp_path / "a.refl"
    path.write_bytes(table.as_msgpack())
    return str(path)


def test_columns_are_those_that_dials_reads(table, file):
    found = read_columns(file, ["lp", "s1", "miller_index", "no such column"])
    assert sorted(found.keys()) == ["lp", "miller_index", "s1"]
    for name in found.keys():
        assert list(found[name]) == list(table[name])
    assert dict(found.experiment_identifiers()) == dict(table.experiment_identifiers())


@pytest.mark.parametrize("name", ["quartz/scaled", "cunir_stills/integrated"])
def test_measured_files(data_folder, name):
    path = str(data_folder / f"{name}.refl")
    whole, some = read_table(path), read_table(path, columns=READ)
    for column in {*whole.keys()} - READ:
        del whole[column]
    assert some.as_msgpack() == whole.as_msgpack()


def test_piece_by_piece_a_table_is_what_dials_writes(table):
    assert b"".join(column_by_column(table)) == table.as_msgpack()


def test_a_file_is_rewritten_as_dials_would_write_it(table, file):
    changed = read_columns(file, ["id", "lp"])
    changed["lp"] *= 2.0
    changed["new"] = cctbx_flex.double(range(7))
    found = b"".join(Rewritten(file, changed, {"matrix"}))
    table["lp"], table["new"] = changed["lp"], changed["new"]
    del table["matrix"]
    assert found == table.as_msgpack()
    write_together({f"{file}.new": Rewritten(file, changed)})
    assert len(flex.reflection_table.from_file(f"{file}.new")) == 7


def test_many_columns(tmp_path):
    """More than fit into the shortest header of a map."""
    made = flex.reflection_table()
    for k in range(40):
        made[f"column {k}"] = flex.int([k])
    path = tmp_path / "a.refl"
    path.write_bytes(made.as_msgpack())
    assert b"".join(Rewritten(str(path), made)) == made.as_msgpack()
    assert [*read_columns(str(path), ["column 33"])["column 33"]] == [33]


def test_a_file_that_changes_during_the_run(table, file):
    """No output is made of two different inputs."""
    changed = Rewritten(file, read_columns(file, ["id"]))
    open(file, "wb").write(table.select(table["id"] == 0).as_msgpack())
    with pytest.raises(OSError, match="the input .*a.refl was changed during the run"):
        write_together({f"{file}.new": changed})


def test_every_damage_is_left_to_dials(table):
    """Wherever a file is cut off or a header is another, nothing is read past it."""
    whole = table.as_msgpack()
    for end in range(len(whole)):
        with pytest.raises(OtherFormat):
            find_columns(BytesIO(whole[:end]))
    with pytest.raises(OtherFormat, match="1 bytes follow"):
        find_columns(BytesIO(whole + b"\0"))
    with pytest.raises(OtherFormat, match="a column holds doubly"):
        find_columns(BytesIO(whole.replace(b"double\x92", b"doubly\x92", 1)))


def test_shoeboxes_are_left_to_dials(table):
    table["shoebox"] = flex.shoebox(len(table))
    with pytest.raises(OtherFormat, match="a column holds Shoebox"):
        find_columns(BytesIO(table.as_msgpack()))
    check_columns(BytesIO(table.as_msgpack()))


@pytest.mark.parametrize("name", ["chosen", "s1", "id", "shoebox"])
def test_columns_that_say_they_are_longer(table, name, tmp_path):
    """DIALS 3.30 crashes at 2^40 rows; before, all that follows is read as rows."""
    msgpack = pytest.importorskip("msgpack", reason="comes with most of DIALS")
    table["shoebox"] = flex.shoebox(len(table))
    content = msgpack.unpackb(table.as_msgpack(), raw=True, strict_map_key=False)
    check_columns(BytesIO(msgpack.packb(content)))
    content[2][b"data"][name.encode()][1][0] = 2**40
    spoiled = tmp_path / "a.refl"
    spoiled.write_bytes(msgpack.packb(content))
    with pytest.raises(ValueError, match="damaged: a column has .* bytes for 10995"):
        read_table(str(spoiled))


def test_a_column_of_texts_is_refused(table, tmp_path):
    """Of a few rows DIALS reads it; of many it may end the process."""
    table["note"] = flex.std_string(["a"] * len(table))
    path = tmp_path / "texts.refl"
    path.write_bytes(table.as_msgpack())
    for columns in (None, ["id", "lp"]):
        with pytest.raises(Refused, match="a column holds texts"):
            read_table(str(path), columns=columns)
    with pytest.raises(HoldsTexts):
        check_columns(BytesIO(table.as_msgpack()))
    del table["note"]
    assert check_columns(BytesIO(table.as_msgpack())) is None
