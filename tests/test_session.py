"""What every command does before its work, with a command of two parameters."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

import iotbx.phil
from dials.util import Sorry
from libtbx import Auto

from dials_spread import session

PHIL = iotbx.phil.parse(
    """
    width = 1.0
      .type = float(value_min=0)
    nproc = Auto
      .type = int(value_min=1)
    mode = *one two
      .type = choice
    pair = None
      .type = ints(size=2)
      .multiple = True
    inner {
      top = 10
        .type = int(value_min=1)
      name = None
        .type = path
    }
    """
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder of its own, and loggers as they were before."""
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger("dials")
    handlers = {n: [*logging.getLogger(n).handlers] for n in ("dials", "dxtbx")}
    level = root.level
    yield tmp_path
    for name, before in handlers.items():
        logging.getLogger(name).handlers = before
    root.setLevel(level)
    logging.captureWarnings(False)


def start(*args):
    return session.start("usage", "help", PHIL, args)


def refusal(*args) -> list[str]:
    with pytest.raises(Sorry) as error:
        start(*args)
    return str(error.value).splitlines()


def test_files_are_sorted_by_kind_and_keep_their_order():
    args = (
        "b.refl",
        "a.expt",
        "width=2",
        "c.EXPT",
        "old.pickle",
        "old.json",
        "x.mpack",
    )
    params, files, _ = start(*args)
    assert files == (
        ["a.expt", "c.EXPT", "old.json"],
        ["b.refl", "old.pickle", "x.mpack"],
    )
    assert params.width == 2


def test_the_log_holds_versions_changes_and_what_follows():
    _, _, log = start("a.expt", "inner.top=3")
    logging.getLogger("dials.spread.anything").info("later")
    text = log.getvalue()
    assert text.startswith("DIALS ")
    assert "dials_spread" in text.splitlines()[0]
    assert "top = 3" in text
    assert "width" not in text
    assert text.endswith("later\n")


def test_a_second_start_leaves_the_first_log_alone():
    _, _, first = start("a.expt")
    before = first.getvalue()
    _, _, second = start("a.expt")
    logging.getLogger("dials.spread").info("second only")
    assert first.getvalue() == before
    assert "second only" in second.getvalue()


def test_messages_for_developers_on_request_only():
    _, _, log = start("a.expt")
    logging.getLogger("dials.spread").debug("detail")
    assert "detail" not in log.getvalue()
    _, _, log = start("a.expt", "-vv")
    logging.getLogger("dials.spread").debug("detail")
    assert "detail" in log.getvalue()


def test_a_phil_file_is_overruled_by_what_follows():
    Path("own.phil").write_text("inner.top = 3\nwidth = 4\n")
    params, _, _ = start("own.phil", "a.expt", "width=5")
    assert (params.inner.top, params.width) == (3, 5)


def test_what_is_no_file_and_no_parameter():
    Path("bad.phil").write_text("inner {")
    assert refusal("a.expt", "b.cif", "tip=3", "width=", "bad.phil", "no.phil") == [
        "b.cif: a structure, which this command does not take; give the .expt and "
        ".refl files of dials.integrate or dials.scale",
        "tip=3: no parameter is called tip; did you mean inner.top?",
        "width=: a value is missing",
        "bad.phil: not understood as phil",
        "no.phil: no such file",
        "a.expt: no such file",
    ]
    assert refusal()[0].startswith("no files given")


def test_values_that_are_none():
    Path("a.expt").write_text("{}")
    assert refusal("a.expt", "width=nan", "mode=None", "inner.top=Auto") == [
        "width cannot be nan",
        "mode cannot be None",
        "inner.top cannot be Auto",
    ]
    params, _, _ = start("a.expt", "nproc=None", "inner.name=None", "width=0")
    assert params.nproc is None


def test_a_wrong_choice_is_told_in_one_line():
    Path("a.expt").write_text("{}")
    (told,) = refusal("a.expt", "mode=three")
    assert told == "mode=three: choose one or two"
    (told,) = refusal("a.expt", "mode=onne")
    assert told == "mode=onne: choose one or two; did you mean one?"


@pytest.mark.slow
@pytest.mark.parametrize("option", ["-c", "-h"])
def test_help_that_nobody_reads_to_its_end(option):
    """Behind ``| head``: no traceback, neither at once nor when Python ends."""
    code = f"""
import iotbx.phil
from dials_spread import session
leaves = "\\n".join(f"name_{{i}} = 1\\n  .type = int" for i in range(9999))
session.start("usage", "help\\n" * 99999, iotbx.phil.parse(leaves), [{option!r}])
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.slow
def test_a_run_whose_output_nobody_reads_goes_on():
    """Behind ``| head`` the log is kept, to be written into its file."""
    code = """
import logging, os, sys
import iotbx.phil
from dials_spread import session
*_, log = session.start("usage", "help", iotbx.phil.parse("a = 1"), [], False)
sys.stdin.readline()
for i in range(20000):
    logging.getLogger("dials.spread.any").info("line %d", i)
open("kept.log", "w").write(log.getvalue())
"""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as process:
        process.stdout.read(1)
        process.stdout.close()
        process.stdin.write(b"go\n")
        process.stdin.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
    assert Path("kept.log").read_text().endswith("line 19999\n")


def test_parameters_are_shown_with_their_help(capsys):
    phil = iotbx.phil.parse(
        """
        width = 1.0
          .type = float
          .help = "Width in degrees."
        """
    )
    shown = {}
    for options in (["-c"], ["-c", "-a", "0"]):
        with pytest.raises(SystemExit) as left:
            session.start("usage", "help", phil, options)
        assert not left.value.code
        shown[len(options)] = capsys.readouterr().out
    assert "Width in degrees." in shown[1]
    assert "width = 1.0" in shown[3]
    assert "Width in degrees." not in shown[3]


def test_parameters_and_leaves():
    params = PHIL.extract()
    params.inner.top = 7
    assert session.leaves(params.inner) == {"top": 7, "name": None}
    assert session.parameters(PHIL, params) == {
        "width": "1",
        "nproc": "Auto",
        "mode": "*one two",
        "inner.top": "7",
        "inner.name": "None",
        "pair": [],
    }
    params, _, _ = start("a.expt", "pair=1,2", "pair=3,4")
    assert session.parameters(PHIL, params)["pair"] == ["1 2", "3 4"]


def test_gather_gives_all_results_or_all_problems():
    def fail(error):
        raise error

    assert session.gather(lambda: 1, lambda: None) == [1, None]
    with pytest.raises(ValueError, match="^first\nsecond\nthird$"):
        session.gather(
            lambda: fail(ValueError("first")),
            lambda: 1,
            lambda: fail(OSError("second\nthird")),
        )
    with pytest.raises(TypeError):
        session.gather(lambda: fail(TypeError("a mistake in the program")))


def test_reference_is_a_document_of_the_command():
    assert session.read_reference(None, "dials.x") is None
    document = {"command": "dials.x", "value": 1}
    Path("a.json").write_text(json.dumps(document))
    assert session.read_reference("a.json", "dials.x") == document
    for content, told in (
        ("", "not a JSON file"),
        ("[" * 100_000, "not a JSON file"),
        ("[]", "not a JSON file of dials.x"),
        ('{"command": "dials.y"}', "not a JSON file of dials.x"),
    ):
        Path("b.json").write_text(content)
        with pytest.raises(ValueError) as error:
            session.read_reference("b.json", "dials.x")
        assert str(error.value) == f"b.json: {told}"


def test_changed_parameters_are_arguments_again():
    from dials_spread.command_line.compare_images import OF_THIS_RUN, phil_scope

    text = "image_width=0\noutput.json=x.json\npair=0,1,2,3\nmatching.top=5"
    params = phil_scope.fetch(iotbx.phil.parse(text)).extract()
    told = session.changed_parameters(phil_scope, params, OF_THIS_RUN)
    assert sorted(told) == ["image_width=0", "matching.top=5"]


@pytest.mark.parametrize("how", ["argument", "file"])
def test_auto_is_a_choice_where_it_is_one(how, tmp_path, monkeypatch, capsys):
    """The phil of cctbx takes it for its own Auto, of which no command would know."""
    from dials_spread.command_line.ml_correct import phil_scope

    monkeypatch.chdir(tmp_path)
    Path("own.phil").write_text("lorentz = auto\nmethod = Auto\n")
    given = ["own.phil"] if how == "file" else ["lorentz=auto", "method=Auto"]
    params, _, _ = session.start("", "", phil_scope, given, needs_files=False)
    assert (params.lorentz, params.method, params.mode) == ("auto", "auto", "auto")
    assert params.strength is Auto
