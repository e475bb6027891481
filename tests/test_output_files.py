"""Files are whole or not there, and nothing that was given is lost."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from dials_spread import output_files
from dials_spread.output_files import (
    check_outputs,
    write_bytes,
    write_folder,
    write_text,
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problems(inputs=(), **outputs) -> list[str]:
    """What check_outputs says, line by line."""
    named = {"figures": None, "figure_format": "png", "max_matches": 5, **outputs}
    try:
        check_outputs(SimpleNamespace(**named), [inputs])
    except ValueError as error:
        return str(error).splitlines()
    return []


def test_outputs_that_serve():
    Path("old.json").write_text("{}")
    Path("old").mkdir()
    assert problems(["in.expt"], json="old.json", html=None, figures="old") == []
    assert problems(json="a", html="b", log="c", figures="new") == []


def test_inputs_are_safe_under_any_spelling(folder):
    Path("in.refl").write_text("data")
    Path("link").symlink_to("in.refl")
    Path("aside").symlink_to(folder, target_is_directory=True)
    for name in ("in.refl", "./in.refl", "link", "aside/in.refl", str(folder / "link")):
        told = problems(["in.refl"], json=name)
        assert told == [f"output.json={name} would overwrite an input"]
    assert problems(["link"], json="in.refl") != []


def test_all_that_is_wrong_is_told():
    Path("folder").mkdir()
    Path("file").write_text("")
    told = problems(
        ["in.refl"],
        json="none/a.json",
        log="folder",
        html="",
        page="in.refl",
        figures="file",
    )
    assert sorted(told) == [
        "output.figures=file is no folder",
        "output.html= has no name; None writes none",
        "output.json=none/a.json: no such folder",
        "output.log=folder is a folder",
        "output.page=in.refl would overwrite an input",
    ]
    assert problems(json="a", log="./a") == ["output.log and output.json are both ./a"]


def test_folders_that_cannot_be_written_to(monkeypatch):
    # Root may write anywhere, so the answer of the system is replaced.
    monkeypatch.setattr(output_files.os, "access", lambda path, mode: False)
    told = "the folder cannot be written to"
    assert problems(json="a.json") == [f"output.json=a.json: {told}"]
    assert problems(figures="new") == [f"output.figures=new: {told}"]


def test_files_are_replaced_whole(folder):
    write_text("a.txt", "long before")
    write_text("a.txt", "µ")
    assert Path("a.txt").read_bytes() == b"\xc2\xb5"
    assert os.listdir(folder) == ["a.txt"]


def test_files_have_the_permissions_that_the_user_wants():
    mask = os.umask(0o027)
    try:
        write_text("a.txt", "")
    finally:
        os.umask(mask)
    assert stat.S_IMODE(os.stat("a.txt").st_mode) == 0o640


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_what_was_there_stays_where_writing_fails(folder, monkeypatch, error):
    def fail(*args):
        raise error

    write_text("a.txt", "before")
    monkeypatch.setattr(output_files.os, "replace", fail)
    with pytest.raises(error):
        write_text("a.txt", "after")
    assert Path("a.txt").read_text() == "before"
    assert os.listdir(folder) == ["a.txt"]


def test_pipes_are_written_to_and_not_replaced():
    os.mkfifo("pipe")
    assert problems(log="pipe") == []
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_bytes("pipe", b"told")
    assert os.read(reader, 10) == b"told"
    os.close(reader)
    assert stat.S_ISFIFO(os.stat("pipe").st_mode)


def test_a_folder_gets_all_files_or_none(folder):
    def draw(made):
        paths = [Path(made) / name for name in ("a.png", "b.png")]
        for path in paths:
            path.write_text("new")
        return paths

    Path("figures").mkdir()
    Path("figures/a.png").write_text("old")
    Path("figures/other.txt").write_text("stays")

    def fail(made):
        draw(made)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_folder("figures", fail)
    assert Path("figures/a.png").read_text() == "old"
    paths = write_folder("figures", draw)
    assert paths == [Path("figures/a.png"), Path("figures/b.png")]
    assert sorted(os.listdir("figures")) == ["a.png", "b.png", "other.txt"]
    assert Path("figures/a.png").read_text() == "new"
    write_folder("new", draw)
    write_folder(".", draw)
    assert sorted(os.listdir(folder)) == ["a.png", "b.png", "figures", "new"]
