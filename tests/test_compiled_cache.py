"""Compiled functions work where neither the package nor the home folder can be written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dials_spread import compiled_cache

PACKAGE = Path(compiled_cache.__file__).parent

ASK = """
import os
from dials_spread import session
import numpy as np
from dials_spread.statistics.groups import group_means
print(group_means(np.array([1.0, 3.0]), np.array([0, 0]), 1)[0])
print(os.environ.get("NUMBA_CACHE_DIR"))
"""


@pytest.fixture
def read_only(tmp_path):
    """A copy of the package and a home folder, in which nothing can be made."""
    leave = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, tmp_path / "tree" / "dials_spread", ignore=leave)
    (tmp_path / "home").mkdir()
    (tmp_path / "tmp").mkdir()
    folders = [p for p in (tmp_path / "tree").rglob("*") if p.is_dir()]
    closed = [tmp_path / "home", tmp_path / "tree", *folders]
    for folder in closed:
        folder.chmod(0o555)
    yield tmp_path
    for folder in closed:
        folder.chmod(0o755)


def as_a_user(folder, **more):
    """Run Python on the copy, without the rights of root."""
    command = [sys.executable, "-B", "-c", ASK]
    if os.getuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root can write everywhere, and there is no setpriv")
        command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *command]
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("NUMBA", "XDG"))},
        **{"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp")},
        "PYTHONPATH": str(folder / "tree"),
        **more,
    }
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_folder_of_ones_own_where_nothing_can_be_written(read_only):
    mean, found = as_a_user(read_only)
    assert float(mean) == 2.0
    own = read_only / "tmp" / f"dials_spread-numba-{os.getuid()}"
    assert found == str(own)
    assert own.stat().st_mode & 0o777 == 0o700
    assert [*own.iterdir()]


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """Nothing can be written but in a folder for temporary files."""
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(compiled_cache, "_can_be_written", lambda folder: False)
    monkeypatch.setattr(compiled_cache.tempfile, "tempdir", str(tmp_path))
    import numba

    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    return tmp_path / f"dials_spread-numba-{os.getuid()}"


def chosen():
    compiled_cache.ready_cache()
    return Path(os.environ["NUMBA_CACHE_DIR"])


def test_the_same_folder_the_next_time(nowhere, monkeypatch):
    assert chosen() == nowhere
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    assert chosen() == nowhere


@pytest.mark.parametrize("kind", ["open to others", "a link", "a file"])
def test_what_others_can_write_is_not_read(nowhere, kind):
    if kind == "a file":
        nowhere.write_text("")
    elif kind == "a link":
        (nowhere.parent / "other").mkdir()
        nowhere.symlink_to(nowhere.parent / "other")
    else:
        nowhere.mkdir()
        nowhere.chmod(0o777)
    found = chosen()
    assert found != nowhere and found.stat().st_mode & 0o777 == 0o700


def test_what_the_user_has_chosen_stays(nowhere, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/elsewhere")
    assert chosen() == Path("/elsewhere")


@pytest.mark.parametrize("name", ["there", "there/not/yet"])
def test_a_folder_that_is_not_there_is_made(tmp_path, name):
    (tmp_path / "there").mkdir()
    assert compiled_cache._can_be_written(tmp_path / name)
    (tmp_path / "file").write_text("")
    assert not compiled_cache._can_be_written(tmp_path / "file")
    assert not compiled_cache._can_be_written(tmp_path / "file" / "x")


@pytest.mark.parametrize(
    "command", sorted((PACKAGE / "command_line").glob("[!_]*.py")), ids=lambda p: p.stem
)
def test_commands_choose_the_folder_before_functions_are_compiled(command):
    lines = command.read_text(encoding="utf-8").splitlines()
    ours = [line for line in lines if line.startswith("from dials_spread")]
    # The cluster's module imports nothing that is compiled.
    assert ours[0] in (
        "from dials_spread import session",
        "from dials_spread import cluster, session",
    )


def test_the_cluster_imports_nothing_that_is_compiled():
    code = "import sys, dials_spread.cluster; sys.exit('numba' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
