"""Files are whole or not there, and nothing that was given is lost."""

from __future__ import annotations

import errno
import multiprocessing
import os
import resource
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from dials_spread import output_files, staging
from dials_spread.interruption import whole_run
from dials_spread.output_files import (
    check_outputs,
    draw_files,
    write_bytes,
    write_text,
    write_together,
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
    monkeypatch.setattr(staging.os, "replace", fail)
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

    def write(name, how):
        drawn = draw_files(name, how)
        write_together({}, [drawn])
        return drawn.paths

    with pytest.raises(KeyboardInterrupt):
        write("figures", fail)
    assert Path("figures/a.png").read_text() == "old"
    paths = write("figures", draw)
    assert paths == [Path("figures/a.png"), Path("figures/b.png")]
    assert sorted(os.listdir("figures")) == ["a.png", "b.png", "other.txt"]
    assert Path("figures/a.png").read_text() == "new"
    write("new", draw)
    write(".", draw)
    assert sorted(os.listdir(folder)) == ["a.png", "b.png", "figures", "new"]


def test_names_that_the_system_refuses():
    Path("loop").symlink_to("loop")
    long = "x" * 300 + ".json"
    assert problems(json=long, html="loop", log="loop/a", page="in.refl/x") == [
        f"output.json={long}: file name too long",
        "output.html=loop: too many levels of symbolic links",
        "output.log=loop/a: too many levels of symbolic links",
        "output.page=in.refl/x: no such folder",
    ]
    for name, told in (
        (long, f"{long}: file name too long; no file was written"),
        ("loop", "loop: too many levels of symbolic links; no file was written"),
        ("none/a", "none/a: no such file or directory; no file was written"),
    ):
        with pytest.raises(OSError) as error:
            write_together({"good.json": b"{}", name: b"x"})
        assert str(error.value) == told
    assert sorted(os.listdir()) == ["loop"]


def in_a_run(do):
    """Do something as a command does, with arguments."""
    return whole_run(lambda args: do())([])


def test_folders_in_which_nothing_can_be_made():
    # Even root makes nothing there.
    told = in_a_run(lambda: problems(json="/proc/a.json"))
    assert told == [
        "output.json=/proc/a.json: the folder cannot be written to (no such file or "
        "directory)"
    ]


def test_a_device_that_is_full_leaves_the_others_as_they_were():
    Path("a.json").write_text("old")
    with pytest.raises(OSError) as error:
        write_together({"a.json": b"new", "/dev/full": b"x"})
    assert str(error.value) == "/dev/full: no space left on device; no file was written"
    assert Path("a.json").read_text() == "old"
    assert os.listdir() == ["a.json"]


def test_a_full_disk_leaves_the_old_files_and_nothing_else():
    """The limit of a file stands for a full disk: the second file does not fit."""
    Path("a.expt").write_text("old")
    Path("a.refl").write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError) as error:
            write_together({"a.refl": b"y" * 10_000, "a.expt": b"x" * 1000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(error.value) == "a.refl: file too large; no file was written"
    assert sorted(os.listdir()) == ["a.expt", "a.refl"]
    assert {Path(name).read_text() for name in os.listdir()} == {"old"}


def test_a_file_that_cannot_be_replaced_leaves_all_as_they_were(monkeypatch):
    for name in ("a.expt", "a.json", "a.refl"):
        Path(name).write_text("old")
    replaced, replace = [], os.replace

    def fail_at_the_last(old, new):
        if new.endswith(".refl") and not replaced.count(new):
            replaced.append(new)
            raise PermissionError(1, "Operation not permitted", new)
        replaced.append(new)
        replace(old, new)

    monkeypatch.setattr(staging.os, "replace", fail_at_the_last)
    with pytest.raises(OSError, match="a.refl: operation not permitted; no file"):
        write_together({"a.refl": b"n", "a.expt": b"n", "b.json": b"n"})
    # The table comes last, whatever the order of the others.
    names = [os.path.basename(name) for name in replaced]
    assert names[:3] == ["a.expt", "b.json", "a.refl"]
    assert sorted(os.listdir()) == ["a.expt", "a.json", "a.refl"]
    assert {Path(name).read_text() for name in os.listdir()} == {"old"}


def write_often(which: str, n: int) -> int:
    """Write two files n times and give how often that failed."""
    failed = 0
    for k in range(n):
        try:
            write_together({"a.expt": f"{which}{k}".encode(), "a.refl": b"x" * 1000})
        except OSError:
            failed += 1
    return failed


def test_two_processes_that_write_the_same_files_at_once():
    with multiprocessing.get_context("fork").Pool(2) as pool:
        failed = pool.starmap(write_often, [("a", 60), ("b", 60)])
    assert failed == [0, 0]
    assert sorted(os.listdir()) == ["a.expt", "a.refl"]
    assert Path("a.expt").read_text() in ("a59", "b59")


KILLED = """
import os, signal, sys
from dials_spread import staging
from dials_spread.output_files import write_together
count, replace = 0, os.replace
def kill_at(old, new):
    global count
    if count == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    count += 1
    replace(old, new)
staging.os.replace = kill_at
write_together({"a.refl": b"new", "a.expt": b"new", "sub/a.json": b"new"})
"""


@pytest.mark.parametrize("at", [0, 1, 2])
def test_what_a_killed_run_has_begun_the_next_one_finishes(at, tmp_path):
    """Killed before one of three renames, in two folders; before any there is a journal."""
    Path("sub").mkdir()
    names = ["a.expt", "a.refl", "sub/a.json"]
    for name in names:
        Path(name).write_text("old")
    result = subprocess.run([sys.executable, "-c", KILLED, str(at)])
    assert result.returncode == -9
    texts = [Path(name).read_text() for name in names]
    assert texts.count("new") == at
    # Whoever writes next, beside any of them.
    write_text("sub/other.txt" if at == 1 else "other.txt", "x")
    write_text("other.txt" if at == 1 else "sub/other.txt", "x")
    assert [Path(name).read_text() for name in names] == ["new"] * 3
    assert [*tmp_path.rglob(".*")] == []


def test_a_file_that_was_replaced_since_is_not_touched():
    Path("sub").mkdir()
    result = subprocess.run([sys.executable, "-c", KILLED, "1"])
    assert result.returncode == -9
    Path("a.refl").write_text("mine")
    soon = time.time() + 5
    os.utime("a.refl", (soon, soon))
    write_text("other.txt", "x")
    assert Path("a.refl").read_text() == "mine"
    assert Path("a.expt").read_text() == "new"


LIVE = """
import sys, time
from dials_spread.output_files import reserve
reserve({"a.json": "a.json"})
print("there", flush=True)
sys.stdin.read()
"""


def test_two_runs_do_not_write_the_same_file():
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", LIVE], **pipes) as other:
        other.stdout.readline()
        (told,) = in_a_run(lambda: problems(json="a.json", html="b.html"))
        assert told.startswith(f"output.json={os.getcwd()}/a.json is being written by")
        assert f"(process {other.pid} on " in told
        # Other files in this folder are nobody's business, and theirs stay.
        assert in_a_run(lambda: problems(json="b.json")) == []
        write_text("c.txt", "x")
        assert len([n for n in os.listdir() if n.startswith(".")]) == 1
        other.kill()
        other.wait()
    assert in_a_run(lambda: problems(json="a.json")) == []
    assert os.listdir() == ["c.txt"]


def test_what_others_put_there_is_not_followed(monkeypatch):
    """A journal in a folder of somebody else, as may be in /tmp, renames nothing."""
    stage = Path(".dials_spread-x")
    stage.mkdir()
    (stage / "lock").touch()
    (stage / "new-1").write_text("bad")
    (stage / "journal.json").write_text(
        f'{{"moves": [["{stage.resolve()}/new-1", "{os.getcwd()}/mine"]]}}'
    )
    monkeypatch.setattr(staging.os, "getuid", lambda: os.stat(".").st_uid + 1)
    write_text("a.txt", "x")
    assert not Path("mine").exists() and stage.is_dir()


@pytest.fixture
def begin():
    """Begin a file in a run that has reserved it; the rest is done in that run, too."""

    def run(content, then):
        def do():
            output_files.reserve({"a.refl": "output.reflections=a.refl"})
            then(output_files.begin_file("a.refl", content))

        in_a_run(do)

    return run


def test_a_file_that_is_begun_is_there_with_the_others(begin):
    going_on = threading.Event()

    def pieces():
        yield b"first "
        assert going_on.wait(10)
        yield b"second"

    def then(begun):
        assert isinstance(begun, output_files.Begun)
        assert not Path("a.refl").exists()
        going_on.set()
        write_together({"b.json": b"{}", "a.refl": begun})

    begin(pieces(), then)
    assert Path("a.refl").read_bytes() == b"first second"
    assert sorted(os.listdir()) == ["a.refl", "b.json"]


def test_a_file_that_is_begun_and_does_not_fit_leaves_nothing(begin):
    def full():
        yield b"first"
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="^a.refl: no space left on device; no file was"):
        begin(full(), lambda begun: write_together({"b.json": b"[]", "a.refl": begun}))
    assert os.listdir() == []


def test_a_file_that_is_begun_is_given_up_where_the_run_fails(begin):
    given = []

    def endless():
        while len(given) < 10**6:
            given.append(1)
            yield b""
            time.sleep(0.001)

    def fails(_):
        raise ValueError("statistics")

    with pytest.raises(ValueError, match="statistics"):
        begin(endless(), fails)
    n = len(given)
    time.sleep(0.05)
    assert n == len(given) and os.listdir() == []


def test_nothing_is_begun_where_no_run_has_reserved_the_folder():
    given = [b"all of it"]
    assert output_files.begin_file("a.refl", given) is given
