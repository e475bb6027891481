"""Nothing in a file is run while it is read."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest

from dials_spread.valid_input.reading import Refused, read_experiments, read_table


class Marks:
    """Makes a folder when it is read by pickle."""

    def __reduce__(self):
        return os.mkdir, ("was_run",)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_file_is_not_run(tmp_path, monkeypatch, protocol):
    monkeypatch.chdir(tmp_path)
    Path("a.refl").write_bytes(pickle.dumps(Marks(), protocol=protocol))
    with pytest.raises((Refused, RuntimeError)):
        read_table("a.refl")
    assert not Path("was_run").exists()


def test_a_table_of_an_old_release_is_read_where_allowed(tmp_path, simulated):
    table = simulated[1][0]
    old, new = str(tmp_path / "old.refl"), str(tmp_path / "new.refl")
    table.as_pickle(old)
    table.as_msgpack_file(new)
    with pytest.raises(Refused, match=r"a pickle file, .* allow_pickle=True reads it"):
        read_table(old)
    found = read_table(old, allow_pickle=True)
    assert list(found["miller_index"]) == list(table["miller_index"])
    assert len(read_table(new)) == len(table)


def test_a_damaged_table_is_not_tried_as_pickle(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.refl").write_bytes(b"\x93" + pickle.dumps(Marks()))
    with pytest.raises(RuntimeError):
        read_table("a.refl", allow_pickle=True)
    assert not Path("was_run").exists()


def test_a_scan_of_two_thousand_million_images(tmp_path, simulated):
    path = tmp_path / "a.expt"
    simulated[0].as_file(path)
    assert len(read_experiments(str(path))) == 3
    document = json.loads(path.read_text())
    document["scan"][0]["image_range"] = [1, 2**31 - 1]
    path.write_text(json.dumps(document))
    with pytest.raises(Refused, match="a scan has the images 1 to 2147483647"):
        read_experiments(str(path))


def test_what_is_no_list_of_experiments(tmp_path):
    path = tmp_path / "a.expt"
    path.write_text('{"a": 1}')
    with pytest.raises(RuntimeError, match="no experiment list"):
        read_experiments(str(path))


def test_an_identifier_that_is_no_text(tmp_path, simulated):
    """Refused when the table is read, as a damaged file."""
    table = simulated[1][0]
    path = tmp_path / "a.refl"
    table.as_msgpack_file(str(path))
    (name,) = table.experiment_identifiers().values()
    content = path.read_bytes()
    assert content.count(name.encode()) == 1
    path.write_bytes(content.replace(name.encode(), b"\xc6" + name.encode()[1:]))
    with pytest.raises(UnicodeDecodeError):
        read_table(str(path))
