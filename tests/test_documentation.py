"""What README and docs say of the program is there: names, files, parameters."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from libtbx import phil

ROOT = Path(__file__).resolve().parents[1]

PAGES = [ROOT / "README.rst", ROOT / "CONTRIBUTING.rst"]
PAGES += sorted((ROOT / "docs").rglob("*.rst"))

QUOTED = sorted((ROOT / "docs" / "output").rglob("*.txt"))

NAME = re.compile(r"(?<![\w/.])dials_spread((?:\.[A-Za-z_]\w*)+)")

FILE = re.compile(
    r"(?<![\w/.])((?:dials_spread|docs|benchmarks|dev|tests|\.ci)/[\w./]+)"
)

COMMAND = re.compile(r"^\s*(?:\$ )?(dials\.\w+ .*)$")

INLINE = re.compile(r"``(dials\.\w+ [^`]*)``")

OURS = (
    *("compare_images", "compare_placement", "import_pets", "ml_correct"),
    "simulate_ed",
)

FORMULAS = sorted((ROOT / "docs" / "methods").glob("*.rst"))

# Places that a user fills in: names of files and folders, no parameters.
FILE_ENDINGS = (".expt", ".refl", ".cbf", ".img", ".cif", ".hkl", ".res")


def named(pages):
    """Parametrise by the names of pages in the checkout."""
    return pytest.mark.parametrize(
        "page", [p.relative_to(ROOT).as_posix() for p in pages]
    )


def text_of(page: str) -> str:
    """What a page says."""
    return (ROOT / page).read_text(encoding="utf-8")


def load(path: str):
    """A module that is in no package."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def resolves(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    parts = name.split(".")
    for stop in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:stop]))
        except ModuleNotFoundError as error:
            if not error.name or not name.startswith(error.name):
                pytest.skip(f"{error.name} is not installed")
            continue
        for part in parts[stop:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


@named(PAGES)
def test_every_name_of_the_package_exists(page):
    text = text_of(page)
    names = {f"dials_spread{rest}" for rest in NAME.findall(text)}
    missing = [name for name in sorted(names) if not resolves(name)]
    assert not missing, f"{page} names what is not there"


@named(PAGES)
def test_every_file_of_the_checkout_exists(page):
    text = text_of(page)
    files = {name.rstrip("./") for name in FILE.findall(text)}
    missing = [name for name in sorted(files) if not (ROOT / name).exists()]
    assert not missing, f"{page} names files that are not there"


def command_lines(text: str) -> list[str]:
    """All command lines of a page or an output, with continued lines joined."""
    text = text.replace("\\\n", " ")
    found = [m.group(1) for line in text.splitlines() if (m := COMMAND.match(line))]
    return found + [" ".join(line.split()) for line in INLINE.findall(text)]


def scope_of(command: str) -> phil.scope | None:
    """The parameters of a command of this package or of DIALS; None without any."""
    package = "dials_spread" if command in OURS else "dials"
    command = "dials_import" if command == "import" else command
    try:
        module = importlib.import_module(f"{package}.command_line.{command}")
    except ModuleNotFoundError:
        return None
    return getattr(module, "phil_scope", None)


def problems_of(line: str) -> list[str]:
    """What the command would not accept of its arguments."""
    program, *words = shlex.split(line, comments=True)
    command = program.split(".", 1)[1]
    scope = scope_of(command)
    if scope is None:
        return [f"{program} does not exist"]
    interpreter = scope.command_line_argument_interpreter()
    problems = []
    for word in words:
        if word in ("|", ">", "&", ";"):
            break
        if "=" not in word or word.startswith("-"):
            continue
        try:
            scope.fetch(source=interpreter.process(word)).extract()
        except (Exception, SystemExit) as error:
            problems.append(f"{word}: {error}")
    return problems


@named(PAGES + QUOTED)
def test_every_command_line_is_accepted(page):
    text = text_of(page)
    # Sentences that begin with the name of a command are no command lines.
    lines = [
        line
        for line in command_lines(text)
        if "=" in line or line.split()[-1].endswith(FILE_ENDINGS)
    ]
    wrong = {line: problems for line in lines if (problems := problems_of(line))}
    assert not wrong, f"{page} shows what the commands do not take"


@named(FORMULAS)
def test_formulas_name_the_function_that_computes_them(page):
    text = text_of(page)
    sections = re.split(r"\n(?=\S[^\n]*\n-{4,}\n)", text)
    for section in sections:
        if ".. math::" in section:
            functions = re.findall(r":func:`(dials_spread[\w.]+)`", section)
            assert functions, f"{page}: a formula of {section.splitlines()[0]!r}"
            for name in functions:
                module, function = name.rsplit(".", 1)
                assert callable(getattr(importlib.import_module(module), function))


def test_pictures_are_small_and_all_are_used():
    used = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        used.update(Path(f).name for f in re.findall(r"image:: (\S+)", text))
    there = {p.name: p.stat().st_size for p in (ROOT / "docs" / "images").glob("*.png")}
    assert used == set(there)
    assert max(there.values()) < 300_000


def test_readme_links_to_files_that_exist():
    text = (ROOT / "README.rst").read_text(encoding="utf-8")
    links = re.findall(r"<([\w./]+\.rst)>`_", text)
    assert len(links) > 10
    assert not [link for link in links if not (ROOT / link).is_file()]


def test_all_commands_are_in_the_readme_and_have_a_page():
    text = (ROOT / "README.rst").read_text(encoding="utf-8")
    for command in OURS:
        assert f"``dials.{command}``" in text
        page = (ROOT / "docs" / f"{command}.rst").read_text(encoding="utf-8")
        assert f".. phil-parameters:: dials_spread.command_line.{command}" in page


def test_the_list_of_parameters_is_what_the_scope_holds():
    pytest.importorskip("sphinx")
    module = load("docs/_extensions/phil_parameters.py")
    scope = phil.parse(
        "a = 1.5\n.type = float(value_min=0, value_max=2)\n"
        "b { c = *x y\n.type = choice\n d = None\n.type = path\n.multiple = True\n}"
    )
    found = list(module.definitions(scope))
    assert [d.full_path() for d in found] == ["a", "b.c", "b.d"]
    assert module.kind(found[0]) == "number from 0 to 2"
    assert module.default(found[0]) == "1.5"
    assert module.kind(found[1]) == "one of x, y"
    assert module.default(found[1]) == "x"
    assert module.kind(found[2]) == "file or folder, may be given more than once"


def test_the_tutorial_quotes_commands_of_its_script():
    script = text_of("docs/tutorial/run.sh")
    page = text_of("docs/tutorial.rst")
    quoted = set(re.findall(r"output/tutorial/(\w+)\.txt", page))
    assert len(quoted) > 12
    for name in quoted:
        command = text_of(f"docs/output/tutorial/{name}.txt").splitlines()[0][2:]
        assert f"'{command}'" in script, name


def test_the_template_of_the_tutorial_is_as_it_is_quoted():
    from cctbx import crystal

    from dials_spread.shelx import instructions

    quoted = text_of("docs/output/tutorial/ins.txt").partition("\n")[2]
    lines = quoted.splitlines()
    cell, error = ([float(x) for x in line.split()[2:]] for line in lines[1:3])
    text = instructions(
        crystal.symmetry(cell, "Pbca"), 0.02508, {"C": 8, "H": 9, "N": 1, "O": 2}, 8,
        title="paracetamol in Pbca", cell_error=error, temperature=-173,
    )  # fmt: skip
    # The factors are fitted, and come out alike to a few units of the last place.
    number = r"(?<![\w.])-?\d+\.\d+"
    assert re.sub(number, "#", text).splitlines() == [
        re.sub(number, "#", line) for line in lines
    ]
    found, quoted = ([float(x) for x in re.findall(number, t)] for t in (text, quoted))
    np.testing.assert_allclose(found, quoted, rtol=2e-3, atol=2e-3)


@pytest.mark.slow
def test_the_example_of_the_python_interface_runs():
    script = ROOT / "docs" / "tutorial" / "notebook.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    before, after = re.findall(r"(0\.\d+) (?:before|after)", done.stdout)
    assert float(after) < float(before)
