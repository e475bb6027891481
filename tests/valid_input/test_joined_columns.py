"""Rows of several files in one, against what DIALS itself makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx.array_family import flex as cctbx_flex
from dials.array_family import flex

from dials_spread.output_files import write_together
from dials_spread.valid_input import joined_columns, stored_columns
from dials_spread.valid_input.joined_columns import JoinedColumns, Piece, alike

NAMES = ["é" * 40, "", "c"]


def made(n: int, seed: int) -> flex.reflection_table:
    rng = np.random.default_rng(seed)
    table = flex.reflection_table()
    table["id"] = cctbx_flex.int(rng.integers(0, 2, n).astype(np.int32))
    table["flags"] = cctbx_flex.size_t(rng.integers(0, 9, n).astype(np.uint64))
    table["miller_index"] = cctbx_flex.miller_index([(k, -k, seed) for k in range(n)])
    table["I"] = cctbx_flex.double(rng.normal(size=n))
    table["s1" * 20] = cctbx_flex.vec3_double(rng.normal(size=(n, 3)))
    table["chosen"] = cctbx_flex.bool(rng.random(n) < 0.5)
    table["bbox"] = flex.int6(n)
    return table


def written(folder, sizes) -> list[str]:
    names = [str(folder / f"{k}.refl") for k in range(len(sizes))]
    for k, n in enumerate(sizes):
        made(n, k).as_file(names[k])
    return names


def joined(names: list[str], picks: list) -> tuple[JoinedColumns, bytes]:
    """Some rows of files, and what DIALS writes when it joins them."""
    pieces, whole = [], flex.reflection_table()
    for k, (name, pick) in enumerate(zip(names, picks)):
        table = flex.reflection_table.from_file(name)
        rows = np.arange(len(table)) if pick is None else np.array(pick)
        part = table.select(cctbx_flex.size_t(rows.astype(np.uint64)))
        part["id"] = cctbx_flex.int(len(part), k)
        part["I"], part["before"] = 2.0 * part["I"], part["I"]
        new = flex.reflection_table()
        new["id"], new["I"] = part["id"], part["I"]
        pieces.append(Piece(name, len(table), rows, new))
        whole.extend(part)
    for number, name in enumerate(NAMES):
        whole.experiment_identifiers()[number] = name
    same = {*whole.keys()} - {"id", "I", "before"}
    copies = {**{name: name for name in same}, "before": "I"}
    return JoinedColumns(pieces, NAMES, copies), whole.as_msgpack()


@pytest.mark.parametrize(
    ("sizes", "picks"),
    [
        ((5, 1), (None, None)),
        ((5, 4), ([3, 0, 4], [2, 1])),
        # Numbers of rows and bytes on both sides of 2^7, 2^8 and 2^16.
        ((100, 60), (None, [*range(59, -1, -1)])),
        ((9000, 3000), (None, None)),
    ],
)
def test_it_is_what_dials_writes(tmp_path, monkeypatch, sizes, picks):
    monkeypatch.setattr(stored_columns, "PIECE", 1000)
    found, wanted = joined(written(tmp_path, sizes), picks)
    assert len(found) == sum(n if p is None else len(p) for n, p in zip(sizes, picks))
    assert b"".join(found) == wanted
    write_together({str(tmp_path / "joined.refl"): found.as_msgpack()})
    assert (tmp_path / "joined.refl").read_bytes() == wanted


def test_files_that_are_not_alike(tmp_path):
    names = written(tmp_path, (5, 3, 0))
    kinds = alike(names[:2])
    assert kinds["I"] == "double" and kinds["miller_index"] == "cctbx::miller::index<>"
    assert alike(names) is None
    other = made(4, 4)
    other["I"] = cctbx_flex.int(4, 1)
    other.as_file(names[2])
    assert alike(names) is None
    (tmp_path / "2.refl").write_bytes(b"no table")
    assert alike(names) is None
    assert alike([*names[:2], str(tmp_path / "3.refl")]) is None


@pytest.mark.parametrize("how", ["fewer rows", "no such column", "gone", "cut off"])
def test_a_file_that_changes_during_the_run(tmp_path, how):
    """No output is made of two different inputs, and the message names the file."""
    names = written(tmp_path, (5, 5))
    found, _ = joined(names, (None, [1, 0]))
    table = made(4 if how == "fewer rows" else 5, 1)
    del table["flags"]
    whole = table.as_msgpack()
    last = tmp_path / "1.refl"
    last.unlink() if how == "gone" else last.write_bytes(
        whole[: -20 if how == "cut off" else None]
    )
    told = "No such file" if how == "gone" else "was changed during the run"
    with pytest.raises(OSError, match=told) as error:
        b"".join(found)
    assert "1.refl" in str(error.value)


def test_a_column_that_is_too_long_for_the_format():
    with pytest.raises(OSError, match="4800000000 bytes, more than a reflection table"):
        joined_columns._header("s1", "vec3<double>", 200_000_000)
