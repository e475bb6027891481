"""dev/bootstrap, in copies of the checkout, with what a fresh machine would have."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DEBIAN = Path("/usr/bin/python3")
# What a machine without DIALS, conda and apt still has.
TOOLS = (
    *(
        "bash",
        "basename",
        "cat",
        "cp",
        "dirname",
        "env",
        "grep",
        "id",
        "ln",
        "mkdir",
        "rm",
    ),
    *("sed", "sudo", "touch", "tr", "uname"),
)


def copy_checkout(target: Path) -> Path:
    """A copy as a fresh clone would be: without environments and build products."""
    products = {".git", ".venv", "build", "demo", "dials_spread.egg-info"}
    products |= {".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache"}

    def left_out(folder: str, names: list[str]) -> set[str]:
        return {"__pycache__", *(products if Path(folder) == ROOT else ())}

    return Path(shutil.copytree(ROOT, target, ignore=left_out))


def run(command: list[str | Path], cwd: Path, **environment: str):
    """Run with this environment and no other, without a terminal."""
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


def debian_lacks() -> str:
    """Why the route over Debian's packages cannot be tried here; empty if it can."""
    if not (shutil.which("dpkg-query") and DEBIAN.is_file()):
        return "not a Debian"
    modules = "cctbx, dials, ensurepip, setuptools, wheel, numba, tqdm, scipy"
    code = f"import {modules}, jinja2, tabulate, matplotlib, PIL, sklearn"
    result = run([DEBIAN, "-c", code], Path("/"), PATH="/usr/bin:/bin")
    return "" if result.returncode == 0 else f"{DEBIAN}: {result.stderr.strip()[-200:]}"


def wheel_of(name: str, folder: Path) -> Path:
    """Pack an installed distribution as a wheel again, so that no network is needed."""
    found = importlib.metadata.distribution(name)
    told = found.read_text("WHEEL")
    if told is None:  # a later Debian brings it itself
        pytest.skip(f"{name} is no wheel here, but a package of Debian")
    tag = told.partition("\nTag: ")[2].split()[0]
    wheel = folder / f"{name}-{found.version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file in found.files:
            if ".." not in file.parts and file.suffix != ".pyc":
                archive.write(found.locate_file(file), file)
    return wheel


@pytest.fixture(scope="module")
def tools(tmp_path_factory) -> Path:
    """A folder for PATH, with everyday tools and no DIALS, conda or apt."""
    folder = tmp_path_factory.mktemp("tools")
    for name in TOOLS:
        if found := shutil.which(name):
            (folder / name).symlink_to(found)
    return folder


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> tuple[Path, str]:
    """A copy that dev/bootstrap has prepared from Debian's packages, and its words."""
    if reason := debian_lacks():
        pytest.skip(f"needs DIALS from Debian's packages: {reason}")
    # Settings of the caller that must not reach what is made here.
    (bad := tmp_path_factory.mktemp("pythonpath") / "numpy.py").write_text("1 / 0")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    checkout = copy_checkout(tmp_path_factory.mktemp("with space") / "dials spread")
    # An earlier run was interrupted while it made .venv.
    for folder in (checkout / "build", checkout / ".venv/bin"):
        folder.mkdir(parents=True)
    (checkout / "build/venv-unfinished").touch()
    # Debian has all that the plug-in needs but this.
    wheel_of("safetensors", wheels := tmp_path_factory.mktemp("wheels"))
    result = run(
        [checkout / "dev/bootstrap"],
        cwd=elsewhere,
        PATH="/usr/bin:/bin",
        HOME=str(elsewhere),
        DIALS_SPREAD_APT="no",
        PIP_NO_INDEX="1",
        PIP_FIND_LINKS=str(wheels),
        PIP_USER="1",
        PIP_TARGET=str(elsewhere / "target"),
        PYTHONPATH=str(bad.parent),
        LIBTBX_BUILD=str(elsewhere),
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert not (elsewhere / "target").exists() and not (elsewhere / ".local").exists()
    return checkout, result.stdout


@pytest.mark.slow
def test_debian_environment_needs_no_libtbx_build(installed):
    checkout, _ = installed
    code = (
        "import cctbx, dials, dials_spread, numpy, pandas\n"
        "from dials.array_family import flex\n"
        "flex.double(numpy.zeros(3)); print(dials_spread.__file__)"
    )
    python = checkout / ".venv/bin/python"
    result = run([python, "-c", code], Path("/"), PATH="/usr/bin:/bin")
    assert result.returncode == 0, result.stderr
    assert Path(result.stdout.strip()).parent == checkout / "dials_spread"


@pytest.mark.slow
def test_debian_modules_have_no_second_copy(installed):
    checkout, _ = installed
    (packages,) = (checkout / ".venv/lib").glob("python*/site-packages")
    names = {path.name.split("-")[0].lower() for path in packages.glob("*.dist-info")}
    assert names <= {"pip", "setuptools", "dials_spread", "safetensors"}


@pytest.mark.slow
def test_pip_is_held_to_the_versions_of_dials(installed, tmp_path):
    checkout, _ = installed
    python = checkout / ".venv/bin/python"
    command = [python, checkout / "dev/environment.py", "constraints"]
    result = run(command, tmp_path, PATH="/usr/bin:/bin")
    (held := tmp_path / "constraints.txt").write_text(result.stdout)
    code = "import numpy; print('numpy==' + numpy.__version__)"
    debian = run([DEBIAN, "-c", code], tmp_path, PATH="/usr/bin:/bin").stdout.strip()
    assert debian in held.read_text().splitlines()
    # pip reads every line before it looks for anything.
    command = [python, "-m", "pip", "install", "--no-index", "--dry-run"]
    for wanted, status in ((debian, 0), ("numpy>=2", 1)):
        result = run([*command, "-c", held, wanted], tmp_path, PATH="/usr/bin:/bin")
        assert result.returncode == status, result.stderr
    assert "ResolutionImpossible" in result.stderr


@pytest.mark.slow
def test_activating_by_hand_finds_the_command_and_dials(installed):
    checkout, words = installed
    assert f'. "{checkout}/.venv/bin/activate"' in words
    script = (
        '. "$1/.venv/bin/activate"; python -c "import cctbx"; '
        "command -v dials.compare_images dials.scale"
    )
    command = ["bash", "-ec", script, "-", checkout]
    result = run(command, Path("/"), PATH="/usr/bin:/bin")
    assert result.returncode == 0, result.stderr
    ours, theirs = result.stdout.splitlines()
    assert (ours, theirs) == (
        f"{checkout}/.venv/bin/dials.compare_images",
        "/usr/bin/dials.scale",
    )
    # The folder has a space in its name, which a #! line cannot hold.
    result = run([ours, "-h"], Path("/"), PATH="/usr/bin:/bin")
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_second_run_changes_nothing(installed):
    checkout, _ = installed
    result = run([checkout / "dev/bootstrap"], Path("/"), PATH="/usr/bin:/bin")
    assert result.returncode == 0, result.stderr
    (line,) = result.stdout.splitlines()
    assert line.startswith("Ready.")


def test_strange_venv_is_left_alone(tools, tmp_path):
    checkout = copy_checkout(tmp_path / "checkout")
    (kept := checkout / ".venv/notes.txt").parent.mkdir()
    kept.write_text("mine")
    (tools_and_conda := tmp_path / "bin").mkdir()
    fake_conda(tools_and_conda / "mamba", "exit 1")
    path = f"{tools_and_conda}:{tools}"
    result = run([checkout / "dev/bootstrap"], tmp_path, PATH=path)
    assert result.returncode == 1
    assert "remove that folder" in result.stderr
    assert kept.read_text() == "mine"


def test_nothing_to_install_from_is_one_clear_line(tools, tmp_path):
    checkout = copy_checkout(tmp_path / "checkout")
    for command in ("bootstrap", "test", "demo"):
        result = run([checkout / "dev" / command], tmp_path, PATH=str(tools))
        assert result.returncode == 1
        (line,) = result.stderr.splitlines()
        assert line.startswith(f"dev/{command}: found neither DIALS, nor conda")
        assert "micromamba" in line
    assert not (checkout / ".venv").exists()


def fake_conda(path: Path, action: str) -> None:
    """A command that records its arguments, one a line, and then does as told."""
    path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >"$0.arguments"\n{action}\n')
    path.chmod(0o755)


@pytest.mark.parametrize(
    "name, words",
    [
        ("micromamba", ["create", "-y"]),
        ("mamba", ["env", "create"]),
        ("conda", ["env", "create"]),
    ],
)
def test_conda_is_asked_for_an_environment(tools, tmp_path, name, words):
    checkout = copy_checkout(tmp_path / "dials spread")
    (folder := tmp_path / "bin").mkdir()
    fake_conda(folder / name, 'mkdir "$(dirname "$0")/../dials spread/.venv"; exit 1')
    result = run([checkout / "dev/bootstrap"], tmp_path, PATH=f"{folder}:{tools}")
    arguments = (folder / f"{name}.arguments").read_text().splitlines()
    files = ["-p", f"{checkout}/.venv", "-f", f"{checkout}/environment.yml"]
    assert arguments == words + files
    # It failed, so what it left is gone, and the next way was tried.
    assert result.returncode == 1
    assert f"{folder}/{name} failed" in result.stdout
    assert "found neither DIALS" in result.stderr
    assert not (checkout / ".venv").exists()


@pytest.mark.slow
def test_micromamba_known_by_its_variable_makes_the_environment(
    installed, tools, tmp_path
):
    made_before = installed[0] / ".venv"
    checkout = copy_checkout(tmp_path / "checkout")
    micromamba = tmp_path / "micromamba"
    fake_conda(micromamba, f'cp -a "{made_before}" "$4"; mkdir "$4/conda-meta"')
    environment = {"PATH": str(tools), "MAMBA_EXE": str(micromamba)}
    result = run([checkout / "dev/bootstrap"], tmp_path, **environment)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f'conda activate "{checkout}/.venv"' in result.stdout
    command = checkout / ".venv/bin/dials.compare_images"
    assert f"{checkout}/.venv/bin/python" in command.read_text()


@pytest.mark.slow
def test_active_environment_that_may_be_written_is_used(installed, tmp_path):
    active = tmp_path / "active"
    shutil.copytree(installed[0] / ".venv", active, symlinks=True)
    checkout = copy_checkout(tmp_path / "checkout")
    environment = {"PATH": "/usr/bin:/bin", "VIRTUAL_ENV": str(active)}
    result = run([checkout / "dev/bootstrap"], tmp_path, **environment)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"in the active environment ({active}/bin/python)" in result.stdout
    assert not (checkout / ".venv").exists()


def test_help_is_the_head_of_the_script():
    for command in ("bootstrap", "test", "demo"):
        result = run([ROOT / "dev" / command, "--help"], ROOT, PATH=os.environ["PATH"])
        assert result.returncode == 0
        assert result.stdout.splitlines()[1:] and "#" not in result.stdout
        assert f"dev/{command}" in result.stdout
