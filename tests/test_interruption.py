"""Signals end a program with one line, at once, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dials_spread import interruption
from dials_spread.interruption import at_end, uninterrupted, whole_run

PROGRAM = """
import sys, time
from dials_spread import interruption
from dials_spread.output_files import reserve, write_together
@interruption.whole_run
def run(args=None):
    reserve({"a.json": "a.json"})
    if "written" in sys.argv:
        write_together({"a.json": b"{}"})
    print("there", flush=True)
    # Not at once: a signal that comes just before a sleep is heard after it (Python 3.14).
    for _ in range(600):
        time.sleep(0.1)
run()
"""


@pytest.mark.parametrize(
    "number, word, status",
    [
        (signal.SIGINT, "interrupted", 130),
        (signal.SIGTERM, "terminated", 143),
        (signal.SIGHUP, "hung up", 129),
    ],
)
def test_a_program_says_what_became_of_files(tmp_path, number, word, status):
    for written, told in (("", "no file was"), ("written", "all files had been")):
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, written],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            process.stdout.readline()
            start = time.monotonic()
            process.send_signal(number)
            assert process.stderr.read() == f"-c: {word}; {told} written\n"
        assert process.returncode == status
        assert time.monotonic() - start < 2
        assert os.listdir(tmp_path) == (["a.json"] if written else [])


def test_signals_that_are_ignored_stay_so(tmp_path):
    """As behind nohup, or in the background of a shell."""
    ignoring = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    program = f"{ignoring}{PROGRAM}".replace("range(600)", "range(5)")
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
    assert process.returncode == 0


def test_called_from_python_nothing_is_installed():
    before = [signal.getsignal(getattr(signal, name)) for name in interruption.WORDS]
    undone = []

    def run(args):
        assert interruption.in_run()
        at_end(lambda: undone.append("first"))
        at_end(lambda: undone.append("second"))
        at_end(lambda: 1 / 0)
        now = [signal.getsignal(getattr(signal, name)) for name in interruption.WORDS]
        assert now == before
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        whole_run(run)(["argument"])
    assert undone == ["second", "first"]
    assert not interruption.in_run()


def test_a_signal_waits_until_a_step_is_done():
    done = []
    with pytest.raises(KeyboardInterrupt):
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
            done.append(1)
        done.append(2)
    assert done == [1]
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


ENTRY = """
import sys
from dials_spread import entry_points
sys.argv = ["dials.import_pets", "-h"]
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "dials_spread.command_line.import_pets":
            print("there", flush=True)
            import time; time.sleep(60)
sys.meta_path.insert(0, Slow())
entry_points.import_pets()
"""


def test_a_program_that_is_still_importing_ends_with_one_line(tmp_path):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", ENTRY], **pipes) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        told = process.stderr.read()
    assert told == "dials.import_pets: interrupted; no file was written\n"
    assert process.returncode == 130


def test_every_installed_program_is_a_command():
    folder = Path(interruption.__file__).parent / "command_line"
    commands = {p.stem for p in folder.glob("*.py") if not p.stem.startswith("_")}
    text = Path(interruption.__file__).with_name("entry_points.py").read_text()
    assert {name for name in commands if f'_run("{name}")' in text} == commands
