"""Programs are run side by side, failures told, and results kept."""

from __future__ import annotations

import os
import signal
import stat
import threading
import time
from pathlib import Path

import pytest

from dials_spread.placement.branches import ProgramRun
from dials_spread.placement.programs import run_steps
from dials_spread.staging import PREFIX


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A program that copies its input, and fails where it is told to."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "copy_files"
    script.write_text(
        "#!/bin/sh\n"
        'echo ran >> "$COUNT"\n'
        'for a in "$@"; do [ "$a" = fail=True ] && { echo first; echo "no good"; exit 3; }; done\n'
        'cat "$1" > out.expt; cat "$2" > out.refl; echo done >> out.refl\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("COUNT", str(tmp_path / "count"))
    return tmp_path


def step(name, needs="", *arguments, program="copy_files"):
    return ProgramRun(name, program, arguments, needs, ("out.expt", "out.refl"), ("x",))


def runs(folder) -> int:
    counted = folder / "count"
    return len(counted.read_text().splitlines()) if counted.exists() else 0


def given(folder, text="e"):
    for name in ("a.expt", "a.refl"):
        (folder / name).write_text(text)
    return [str(folder / "a.expt"), str(folder / "a.refl")]


def test_steps_hand_on_their_files_and_are_kept(program):
    told = []
    steps = [step("none/scale"), step("after/correct", "none/scale")]
    inputs = given(program)
    out = program / "results"
    found = run_steps(steps, inputs, out, 2, told.append)
    assert [t.step.name for t in told] == ["none/scale", "after/correct"]
    assert found["after/correct"].files[1].read_text() == "edone\ndone\n"
    assert runs(program) == 2
    again = run_steps(steps, inputs, out, 2, lambda r: None)
    assert runs(program) == 2 and all(r.reused for r in again.values())
    # Other input, parameters, or a result that was taken away: run again.
    given(program, "other")
    run_steps(steps, inputs, out, 1, lambda r: None)
    assert runs(program) == 4
    steps[1] = step("after/correct", "none/scale", "x=1")
    run_steps(steps, inputs, out, 1, lambda r: None)
    assert runs(program) == 5
    (out / "none/scale/out.refl").unlink()
    run_steps(steps, inputs, out, 1, lambda r: None)
    assert runs(program) == 6


def test_what_a_killed_run_left_beside_kept_results_is_removed(program):
    steps, inputs, out = [step("none/scale")], given(program), program / "results"
    run_steps(steps, inputs, out, 1, lambda r: None)
    left = out / "none" / "scale" / f"{PREFIX}left"
    left.mkdir()
    (left / "lock").touch()  # free, as its run is no more
    found = run_steps(steps, inputs, out, 1, lambda r: None)
    assert found["none/scale"].reused and not left.exists()


def test_a_failure_is_told_and_the_others_finish(program):
    steps = [step("bad", "", "fail=True"), step("next", "bad"), step("good")]
    found = run_steps(steps, given(program), program / "out", 2, lambda r: None)
    assert found["bad"].failed == "first\nno good"
    assert found["next"].failed == found["bad"].failed
    assert not found["good"].failed
    assert runs(program) == 2
    # A failure is no result: it is tried again.
    run_steps(steps, given(program), program / "out", 2, lambda r: None)
    assert runs(program) == 3


def test_a_program_that_is_not_there(program):
    found = run_steps(
        [step("a", program="no_such_program")], given(program), program / "out", 1,
        lambda r: None,
    )  # fmt: skip
    assert found["a"].failed == (
        "no_such_program cannot be run: No such file or directory"
    )


def test_needless_steps_are_left_out(program):
    steps = [step("first"), step("second", "first")]
    found = run_steps(
        steps, given(program), program / "out", 1, lambda r: None,
        lambda name, before: before is not None,
    )  # fmt: skip
    assert found["second"].skipped and not found["second"].failed
    assert runs(program) == 1


def test_side_by_side(program):
    """Two programs that wait for each other come to an end together."""
    first, second = program / "first", program / "second"
    script = program / "bin" / "wait_for"
    script.write_text(
        "#!/bin/sh\n"
        'touch "$3"; i=0; while [ ! -e "$4" ]; do sleep 0.05; i=$((i+1)); '
        "[ $i -gt 400 ] && exit 1; done\n"
        "touch out.expt out.refl\n"
    )
    script.chmod(0o755)
    steps = [
        step("a", "", str(first), str(second), program="wait_for"),
        step("b", "", str(second), str(first), program="wait_for"),
    ]
    # Clusters of earlier tests in this process may have left threads of theirs.
    before = threading.active_count()
    found = run_steps(steps, given(program), program / "out", 2, lambda r: None)
    assert not any(r.failed for r in found.values())
    assert threading.active_count() <= before


def test_names_do_not_depend_on_the_folder(program, monkeypatch):
    given(program)
    monkeypatch.chdir(program)
    steps = [step("first"), step("second", "first")]
    found = run_steps(steps, ["a.expt", "a.refl"], Path("out"), 1, lambda r: None)
    assert not any(r.failed for r in found.values())
    assert (program / "out" / "second" / "out.expt").is_file()


def test_an_interrupt_ends_what_runs_and_starts_nothing_more(program):
    """As Ctrl-C does, while one program runs and another waits for a free core."""
    slow = program / "bin" / "slow"
    slow.write_text('#!/bin/sh\necho ran >> "$COUNT"\nexec sleep 60\n')
    slow.chmod(slow.stat().st_mode | stat.S_IXUSR)
    steps = [step("first", program="slow"), step("second", program="slow")]

    def interrupt():
        while not runs(program):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_steps(steps, given(program), program / "out", 1, lambda result: None)
    assert time.monotonic() - start < 20
    assert runs(program) == 1
    assert not list((program / "out").rglob("made_from.json"))
