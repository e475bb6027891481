"""The package is laid out as drawn: no import of DIALS is needed to see that."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "dials_spread"
MODULES = sorted(PACKAGE.rglob("*.py"))
COMMANDS = [m for m in MODULES if m.parent.name == "command_line" and m.stem[0] != "_"]

# Folders whose sub-folders have rows of their own.
SPLIT = {"correction", "report", "spread"}


def drawing() -> list[set[str]]:
    """The rows of the drawing in CONTRIBUTING, from the top.

    A concern may import from rows below its own, never from above, nor from its
    neighbours in the row.
    """
    text = (ROOT / "CONTRIBUTING.rst").read_text(encoding="utf-8")
    block = re.search(r"reads this\ndrawing::\n\n((?:    .+\n)+)", text).group(1)
    return [set(line.split()) for line in block.splitlines()]


ROWS = drawing()
VAGUE_NAMES = {"utils", "util", "base", "helpers", "helper", "common", "misc"}


FOLDERS = sorted({m.parent for m in MODULES} - {PACKAGE})


def name_of(module: Path) -> str:
    return str(module.relative_to(ROOT))


def concern_of(dotted: str) -> str:
    """The concern of `dials_spread.<concern>...`; empty for the package itself."""
    first, second = [*dotted.split("."), "", ""][1:3]
    if first in SPLIT and (PACKAGE / first / second / "__init__.py").is_file():
        return f"{first}.{second}" if second else first
    return first


def row_of(concern: str) -> int:
    for row, concerns in enumerate(ROWS):
        if concern in concerns:
            return row
    raise AssertionError(f"{concern} has no place in the drawing in CONTRIBUTING.rst")


def imported(module: Path) -> set[str]:
    """Dotted names of what a module imports from this package, wherever it does so."""
    package = module.relative_to(ROOT).parent.parts
    names = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            origin = ".".join([*above, *([node.module] if node.module else [])])
            names |= {f"{origin}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] == "dials_spread"}


def functions(module: Path) -> list[ast.FunctionDef]:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def scripts() -> dict[str, str]:
    """The commands of setup.py: name and `module:function`."""
    for node in ast.walk(ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values):
                if isinstance(key, ast.Constant) and key.value == "console_scripts":
                    entries = ast.literal_eval(value)
                    return dict(re.split(r"\s*=\s*", entry) for entry in entries)
    raise AssertionError("setup.py has no console_scripts")


@pytest.mark.parametrize("module", MODULES, ids=[*map(name_of, MODULES)])
def test_imports_point_downwards(module):
    own = concern_of(".".join(module.relative_to(ROOT).with_suffix("").parts))
    names = imported(module)
    if own in ("", "__init__"):
        assert not names, "the package itself must stay free to import"
        return
    for name in names:
        other = concern_of(name)
        if other not in ("", "__version__", own):
            assert row_of(other) > row_of(own), f"{own} imports {name}"


def test_the_drawing_shows_what_is_there():
    drawn = [concern for row in ROWS for concern in row]
    there = {
        concern_of(".".join(m.relative_to(ROOT).with_suffix("").parts)) for m in MODULES
    }
    assert len(drawn) == len(set(drawn)), "a concern is drawn twice"
    assert set(drawn) == there - {"__init__"} - {"report"}


@pytest.mark.parametrize("folder", FOLDERS, ids=[*map(name_of, FOLDERS)])
def test_folders_name_what_is_in_them(folder):
    text = (folder / "__init__.py").read_text(encoding="utf-8")
    lists = ast.get_docstring(ast.parse(text)).partition("s:\n    ")[2]
    named = re.findall(r"^ {,4}(\w+): ", lists, re.MULTILINE)
    modules = {m.stem for m in folder.glob("*.py")} - {"__init__"}
    folders = {m.parent.name for m in folder.glob("*/__init__.py")}
    assert sorted(named) == sorted(modules | folders)


def test_the_import_rule_sees_every_spelling(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    module = tmp_path / "dials_spread" / "simulation" / "demo.py"
    module.parent.mkdir(parents=True)
    module.write_text(
        "import numpy\nimport dials_spread.pairs\nfrom dials_spread import report\n"
        "def late():\n    from ..beam import ring\n    from . import noise\n"
        "    from .. import spread\n"
    )
    assert {concern_of(name) for name in imported(module)} == {
        *("pairs", "report", "beam", "simulation", "spread")
    }


@pytest.mark.parametrize("module", MODULES, ids=[*map(name_of, MODULES)])
def test_modules_and_functions_are_short(module):
    lines = len(module.read_text(encoding="utf-8").splitlines())
    assert lines <= (200 if module in COMMANDS else 450)
    for function in functions(module):
        limit = 50 if module in COMMANDS and function.name == "run" else 60
        length = function.end_lineno - function.lineno + 1
        assert length <= limit, f"{function.name} has {length} lines"


@pytest.mark.parametrize("module", MODULES, ids=[*map(name_of, MODULES)])
def test_names_say_what_is_inside(module):
    names = {*module.relative_to(PACKAGE).with_suffix("").parts}
    assert not names & VAGUE_NAMES


def test_each_class_has_a_name_of_its_own():
    where = {}
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                where.setdefault(node.name, []).append(name_of(module))
    assert not {name: places for name, places in where.items() if len(places) > 1}


@pytest.mark.parametrize("module", COMMANDS, ids=[*map(name_of, COMMANDS)])
def test_commands_name_their_dispatcher_on_line_one(module):
    first = module.read_text(encoding="utf-8").splitlines()[0]
    # One runs a program of xia2, and is called as that one.
    program = "xia2" if module.stem == "multiplex_corrected" else "dials"
    assert first == f"# LIBTBX_SET_DISPATCHER_NAME {program}.{module.stem}"
    assert f"{program}.{module.stem}" in scripts(), "the command is not in setup.py"


@pytest.mark.parametrize("command", scripts())
def test_commands_in_setup_exist(command):
    dotted, function = scripts()[command].split(":")
    module = ROOT.joinpath(*dotted.split(".")).with_suffix(".py")
    assert module.name == "entry_points.py"
    assert module.parent / "command_line" / f"{function}.py" in COMMANDS
    tree = ast.parse(module.read_text(encoding="utf-8"))
    assert function in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}


def test_every_folder_of_the_package_is_installed():
    folders = {module.parent for module in MODULES}
    assert [f for f in folders if not (f / "__init__.py").is_file()] == []


def test_libtbx_config_is_a_dict_of_lists():
    # libtbx evaluates the file joined by spaces, each line with its newline.
    lines = (ROOT / "libtbx_config").read_text(encoding="utf-8").splitlines(True)
    config = ast.literal_eval(" ".join(lines))
    assert "dials" in config["modules_required_for_use"]
    assert "xia2" in config["optional_modules"]


def test_ruff_finds_nothing(run_tool):
    result = run_tool("ruff", "check", "--no-cache", "--output-format=concise", ".")
    assert result.returncode == 0, result.stdout
