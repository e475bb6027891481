"""What the package imports is declared, and what it reads is in what is installed."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "dials_spread"

# These come together with DIALS, which is not on PyPI.
WITH_DIALS = {
    *("boost_adaptbx", "cctbx", "dials", "dxtbx", "iotbx", "libtbx", "mmtbx"),
    *("scitbx", "smtbx", "xia2"),
}

# Packages whose module has another name; by module.
DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn"}

# Other names of conda-forge, and of Debian; None where Debian 12 has no package.
CONDA = {"matplotlib": "matplotlib-base", "sphinx-rtd-theme": "sphinx_rtd_theme"}
DEBIAN = {"pillow": "pil", "scikit-learn": "sklearn", "safetensors": None}


def third_party(folder: Path) -> dict[str, Path]:
    """Distributions that modules below a folder import, and one module that does."""
    # Python 3.9 does not tell the names of its own modules.
    if not hasattr(sys, "stdlib_module_names"):
        pytest.skip("needs Python 3.10")
    found = {}
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            else:
                continue
            for name in names:
                top = name.split(".")[0]
                if top not in {*sys.stdlib_module_names, *WITH_DIALS, PACKAGE.name}:
                    found[DISTRIBUTIONS.get(top, top)] = path.relative_to(ROOT)
    return found


def declared() -> tuple[set[str], dict[str, list[str]]]:
    """What setup.py requires, and its extras; read, not run."""
    needed, extras = set(), {}
    for node in ast.walk(ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and node.targets[0].id == "REQUIRES":
            needed = set(ast.literal_eval(node.value))
        elif isinstance(node, ast.keyword) and node.arg == "extras_require":
            extras = ast.literal_eval(node.value)
    assert needed and extras
    return needed, extras


def test_every_import_of_the_package_is_declared():
    needed, extras = declared()
    known = {*needed, *(name for some in extras.values() for name in some)}
    imported = third_party(PACKAGE)
    assert {k: v for k, v in imported.items() if k not in known} == {}
    # And nothing is required that is not used.
    assert needed - set(imported) == set()


def test_what_only_an_extra_brings_is_not_imported_at_the_top():
    needed, _ = declared()
    optional = {"network/module.py"}  # imported by training alone, after a check
    for path in sorted(PACKAGE.rglob("*.py")):
        if any(str(path).endswith(name) for name in optional):
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            for name in names:
                top = DISTRIBUTIONS.get(name.split(".")[0], name.split(".")[0])
                assert top not in {"torch", "shap", "abtem", "ase", "distributed"} or (
                    top in needed
                ), f"{path.relative_to(ROOT)} imports {top}"


def test_conda_and_debian_bring_what_is_declared():
    needed, extras = declared()
    wanted = {*needed, *extras["test"], *extras["docs"]}
    wanted = {re.match(r"[\w-]+", requirement).group() for requirement in wanted}
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    conda = set(re.findall(r"^  - ([\w-]+)", text.partition("dependencies:")[2], re.M))
    assert {CONDA.get(name, name) for name in wanted} - conda == set()
    script = (ROOT / "dev/bootstrap").read_text(encoding="utf-8")
    debian = set(
        re.search(r'^debian_packages="([^"]+)"', script, re.M).group(1).split()
    )
    names = {DEBIAN.get(name, name) for name in needed} - {None}
    assert {f"python3-{name}" for name in names} - debian == set()


def test_the_citation_is_of_this_release():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    init = (PACKAGE / "__init__.py").read_text(encoding="utf-8")
    version = re.search(r'^__version__ = "([^"]+)"$', init, re.M).group(1)
    assert re.search(r"^version: (\S+)$", text, re.M).group(1) == version


def test_dev_environment_finds_what_is_declared():
    """The script that asks what is missing knows each distribution's module."""
    code = (
        "import runpy, sys; found = runpy.run_path(sys.argv[1]); "
        "print([n for n in sys.argv[2:] if not found['_has'](n)])"
    )
    needed, _ = declared()
    result = subprocess.run(
        [sys.executable, "-c", code, ROOT / "dev/environment.py", *sorted(needed)],
        **{"capture_output": True, "text": True, "check": True, "cwd": "/"},
    )
    assert result.stdout.strip() == "[]"
    modules = ast.literal_eval(
        re.search(
            r"^MODULES = (\{.*?\n\})",
            (ROOT / "dev/environment.py").read_text(encoding="utf-8"),
            re.M | re.S,
        ).group(1)
    )
    assert {module: name for name, module in modules.items()}.items() >= (
        DISTRIBUTIONS.items()
    )


APPLY = """
import sys
sys.modules["sklearn"] = None  # what is then imported fails
sys.argv[0] = "dials.ml_correct"
from dials_spread.command_line.ml_correct import run
run(sys.argv[1:])
try:
    import dials_spread.correction.model.boosting
except ImportError as error:
    print("blocked:", error)
"""


@pytest.mark.slow
def test_a_model_is_applied_without_scikit_learn(data_folder, tmp_path):
    files = [data_folder / f"quartz/integrated.{ending}" for ending in ("expt", "refl")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(
        [sys.executable, "-c", APPLY, *files, "output.html=None"],
        **{"capture_output": True, "text": True, "cwd": tmp_path, "env": environment},
    )
    assert result.returncode == 0, result.stdout + result.stderr
    written = json.loads((tmp_path / "dials.ml_correct.json").read_text())
    assert written["correction"]["method"] == "model"
    assert (tmp_path / "corrected.refl").is_file()
    assert "blocked: " in result.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The names in a wheel and in a source archive of this checkout."""
    pytest.importorskip("wheel", reason="wheel is not installed")
    folder = tmp_path_factory.mktemp("built")
    kept = {".ci", ".github", ".pre-commit-config.yaml"}

    def left_out(parent: str, names: list[str]) -> set[str]:
        made = {n for n in names if n == "__pycache__" or n.endswith(".egg-info")}
        if Path(parent) == ROOT:
            made |= {n for n in names if n[0] == "." or n in ("build", "dist", "demo")}
        return made - kept

    checkout = shutil.copytree(ROOT, folder / "checkout", ignore=left_out)
    code = "from setuptools.build_meta import *; build_sdist('out'); build_wheel('out')"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    (wheel,) = (checkout / "out").glob("*.whl")
    (archive,) = (checkout / "out").glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as file:
        in_wheel = set(file.namelist())
    with tarfile.open(archive) as file:
        names = [m.name for m in file.getmembers() if m.isfile()]
    return in_wheel, {name.partition("/")[2] for name in names}


def files_below(*tops: str) -> set[str]:
    """Files of the checkout that belong to it, by their paths."""
    made = {"__pycache__", "_build", ".pytest_cache", ".hypothesis"}
    return {
        str(path.relative_to(ROOT))
        for top in tops
        for path in (ROOT / top).rglob("*")
        if path.is_file()
        and not made & {*path.parts}
        and path.suffix not in (".pyc", ".nbi", ".nbc")
    }


@pytest.mark.slow
def test_a_wheel_holds_every_file_of_the_package(built):
    in_wheel, _ = built
    wanted = files_below("dials_spread")
    assert {Path(name).suffix for name in wanted} > {".py", ".safetensors", ".cif"}
    assert {name for name in in_wheel if ".dist-info/" not in name} == wanted


@pytest.mark.slow
def test_a_source_archive_holds_the_checkout(built):
    _, in_archive = built
    wanted = files_below("dials_spread", "tests", "docs", "dev", ".ci", "newsfragments")
    wanted |= {
        "setup.py",
        "pyproject.toml",
        "environment.yml",
        "CITATION.cff",
        "LICENSE",
    }
    wanted |= {"README.rst", "CHANGELOG.rst", "CONTRIBUTING.rst", "libtbx_config"}
    assert wanted - in_archive == set()
