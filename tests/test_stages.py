"""The line of a stage: seen through a pseudo-terminal, and nowhere else."""

from __future__ import annotations

import io
import logging
import os
import pty
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

import pytest

from dials_spread import stages, threads


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        """What was drawn, one thing after the other."""
        return [x.strip() for x in re.split("[\r\n]", self.getvalue()) if x.strip()]


@pytest.fixture
def terminal(monkeypatch):
    """Stages are shown at once, on what is given."""
    monkeypatch.setattr(stages, "DELAY", 0.05)
    monkeypatch.setattr(stages, "STAYS", 0.1)
    monkeypatch.setattr(stages, "EVERY", 0.01)
    return Terminal()


@contextmanager
def showing(stream):
    """Show stages on a stream in place of standard error, which pytest sets by itself."""
    with redirect_stderr(stream), stages.shown():
        yield


def test_a_stage_has_its_name_and_what_remains(terminal):
    @stages.stage("Thickness")
    def thickness() -> None:
        for _ in stages.counted(range(20), 20):
            time.sleep(0.02)

    with showing(terminal):
        thickness()
        with stages.stage("Soon over"):
            pass
    told = terminal.lines()
    bars = [line for line in told if re.match(r"Thickness: +\d+%\|.*/20 \[.*<", line)]
    assert bars and told[-1] == "Thickness: [00:00]"
    assert not any("Soon" in line for line in told)
    assert stages._line is None


def test_what_cannot_be_counted_has_the_time_that_passed(terminal):
    with showing(terminal), stages.stage("Noisy spots"):
        time.sleep(0.2)
    assert {*terminal.lines()} == {"Noisy spots: [00:00]"}


def test_blocks_of_threads_are_counted(terminal):
    def slow(first: int, stop: int) -> None:
        time.sleep(0.02)

    with showing(terminal), stages.stage("Comparing pairs"):
        threads.run_blocks(slow, 400, 20, nproc=2)
        [*threads.in_turn(slow, [(k, k) for k in range(15)], 1)]
    told = " ".join(terminal.lines())
    assert re.search(r"Comparing pairs: .*/400 \[", told)
    assert re.search(r"Comparing pairs: .*/15 \[", told)


def test_the_innermost_stage_is_shown_unless_parts_are_counted(terminal):
    with showing(terminal), stages.stage("Outer"):
        with stages.stage("Inner"):
            time.sleep(0.15)
        time.sleep(0.15)
        with stages.part(2) as done:
            for _ in range(2):
                with stages.stage("Hidden"):
                    time.sleep(0.1)
                done(1)
    told = terminal.lines()
    assert "Inner: [00:00]" in told and "Outer: [00:00]" in told
    assert any("/2 [" in line for line in told)
    assert not any("Hidden" in line for line in told)


def test_logs_begin_on_an_empty_line(terminal):
    log = logging.getLogger("dials")
    handler = logging.StreamHandler(terminal)
    log.addHandler(handler)
    try:
        with showing(terminal), stages.stage("Scaling"):
            time.sleep(0.15)
            log.warning("something is told")
    finally:
        log.removeHandler(handler)
    assert "something is told" in terminal.lines()
    assert not any(isinstance(h, stages._ClearBefore) for h in log.handlers)


def test_a_failure_leaves_no_line(terminal):
    with pytest.raises(ValueError), showing(terminal), stages.stage("Features"):
        time.sleep(0.15)
        raise ValueError
    assert terminal.getvalue().endswith("\r" + " " * len("Features: [00:00]") + "\r")


def test_other_threads_and_no_terminal_show_nothing(terminal):
    def other() -> None:
        with stages.stage("Elsewhere"):
            time.sleep(0.1)

    with showing(terminal):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert not terminal.getvalue()
    plain = io.StringIO()
    with showing(plain), stages.stage("Nobody sees"), stages.part(3, "this") as done:
        time.sleep(0.1)
        done(3)
    assert not plain.getvalue()


def test_stages_that_are_not_shown_cost_nothing():
    begin = time.perf_counter()
    for _ in range(1000):
        with stages.stage("Nothing"), stages.part(10) as done:
            done(1)
    assert (time.perf_counter() - begin) / 1000 < 1e-3


def in_terminal(arguments: list[str]) -> str:
    """Run a command whose standard error alone is a terminal; what it drew there."""
    ours, theirs = pty.openpty()
    with open("out.txt", "wb") as out:
        process = subprocess.Popen(arguments, stdout=out, stderr=theirs)
    os.close(theirs)
    drawn = b""
    try:
        while chunk := os.read(ours, 65536):
            drawn += chunk
    except OSError:  # as it ends, on Linux
        pass
    os.close(ours)
    assert process.wait() == 0
    return drawn.decode()


@pytest.mark.slow
def test_commands_show_stages_on_a_terminal_and_nowhere_else(
    simulated, tmp_path, monkeypatch
):
    from dials.array_family import flex

    monkeypatch.chdir(tmp_path)
    bars = []
    experiments, tables = simulated
    experiments.as_file("a.expt")
    # Copies: concat extends the first table, which other tests share.
    together = flex.reflection_table.concat([t.copy() for t in tables])
    together.as_file("a.refl")
    code = (
        "import sys; from dials_spread import stages; stages.DELAY = stages.STAYS = 0.0; "
        "stages.EVERY = 0.001; from dials_spread.command_line.{} import run; run()"
    )
    for name, expected in (
        ("compare_images", ("Variogram", "Noisy spots", "Page")),
        ("ml_correct", ("Scaling", "Features", "Networks")),
    ):
        command = [
            sys.executable,
            "-c",
            code.format(name),
            "a.expt",
            "a.refl",
            "nproc=1",
        ]
        drawn = in_terminal(command)
        for stage in expected:
            assert f"{stage}: " in drawn
        bars += re.findall(r"%\|.*\d+/\d+ \[\d\d:\d\d<", drawn)
        log = Path(f"dials.{name}.log").read_text()
        assert "[00:0" not in log and "[00:0" not in Path("out.txt").read_text()
        quiet = subprocess.run(command, capture_output=True, text=True)
        assert quiet.returncode == 0 and not quiet.stderr
    assert bars
