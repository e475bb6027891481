"""Other processes end with the one that started them, however it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dials_spread.processes import run_program, start_program

POOL = """
import multiprocessing, os, sys, time
from dials_spread.interruption import install
from dials_spread.processes import submit, worker_pool
def main():
    install("program")
    context = multiprocessing.get_context(sys.argv[1])
    if sys.argv[1] == "forkserver":
        context.set_forkserver_preload(["dials_spread.fork_server"])
    pool = worker_pool(2, context)
    futures = [submit(pool, os.getpid) for _ in range(2)]
    [f.result() for f in futures]
    # Compiled code that lets nothing else of Python run.
    futures = [submit(pool, sum, range(10**11)) for _ in range(2)]
    time.sleep(0.2)
    print(os.getpid(), flush=True)
    futures[0].result()
if __name__ == "__main__":
    main()
"""


def alive(session: int) -> list[int]:
    """Processes of a session that have not ended."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                text = (folder / "stat").read_text()
            except OSError:
                continue
            state, _, _, own = text.rpartition(")")[2].split()[:4]
            if int(own) == session and state != "Z":
                found.append(int(folder.name))
    return found


def gone(session: int, seconds: float = 2.0) -> bool:
    """Wait until no process of a session is left."""
    end = time.monotonic() + seconds
    while alive(session) and time.monotonic() < end:
        time.sleep(0.02)
    return not alive(session)


needs_proc = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="looks for processes in /proc"
)


@contextlib.contextmanager
def running(folder, *arguments, **more):
    """Run pool.py of a folder in a session of its own, which ends with the test."""
    process = subprocess.Popen(
        [sys.executable, "pool.py", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **more,
    )
    with process:
        try:
            process.stdout.readline()
            yield process
        finally:
            # Where a test fails, their work would go on for minutes.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def last_words(process, number) -> list[str]:
    """Send a signal, see that all processes end, and give what they say."""
    # Ctrl-C on a terminal goes to all of them.
    send = os.killpg if number == signal.SIGINT else os.kill
    send(process.pid, number)
    process.wait(2)
    assert gone(process.pid)
    return process.stderr.read().splitlines()


@needs_proc
@pytest.mark.parametrize("method", ["fork", "forkserver"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_workers_end_with_the_program(tmp_path, method, number):
    (tmp_path / "pool.py").write_text(POOL)
    with running(tmp_path, method) as process:
        assert len(alive(process.pid)) >= 3
        lines = last_words(process, number)
    assert len(lines) == (number != signal.SIGKILL), lines


SLOW = """
import multiprocessing, os, signal
from dials_spread.interruption import install
from dials_spread.processes import submit, worker_pool
if __name__ == "__main__":
    install("program")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["dials_spread.fork_server", "slow"])
    pool = worker_pool(2, context)
    print("there", flush=True)
    submit(pool, os.getpid).result()
"""


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_that_are_still_starting_end_with_the_program(tmp_path, number):
    """While the fork server imports what they need: as long as that may take."""
    (tmp_path / "pool.py").write_text(SLOW)
    (tmp_path / "slow.py").write_text("import time\nopen('at', 'w')\ntime.sleep(60)\n")
    path = os.pathsep.join([".", *sys.path])
    with running(tmp_path, env={**os.environ, "PYTHONPATH": path}) as process:
        end = time.monotonic() + 20
        while not (tmp_path / "at").exists() and time.monotonic() < end:
            time.sleep(0.02)
        assert len(alive(process.pid)) >= 2
        lines = last_words(process, number)
    said = ["program: interrupted; no file was written"]
    assert lines == (said if number == signal.SIGINT else [])


PROGRAM = """
import sys, time
from dials_spread.processes import start_program
start_program([sys.executable, "-c", "import time; time.sleep(60)"])
time.sleep(0.3)
print("there", flush=True)
time.sleep(60)
"""


@needs_proc
def test_programs_end_with_the_program():
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, start_new_session=True
    )
    with process:
        process.stdout.readline()
        assert len(alive(process.pid)) == 2
        process.kill()
        process.wait()
        assert gone(process.pid)


def test_programs_give_their_status_and_their_words(tmp_path):
    text = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = run_program([sys.executable, "-c", "print(1); raise SystemExit(3)"], **text)
    assert (done.returncode, done.stdout) == (3, "1\n")
    done = run_program([str(tmp_path / "none")], **text)
    assert done.returncode
    assert "none cannot be run: No such file or directory" in done.stdout
    with pytest.raises(subprocess.TimeoutExpired):
        run_program([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.5)


def test_the_environment_and_the_folder_are_passed_on(tmp_path):
    program = start_program(
        [sys.executable, "-c", "import os; print(os.getcwd(), os.environ['X'])"],
        cwd=tmp_path,
        env={**os.environ, "X": "5"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.communicate()[0].split() == [str(tmp_path), "5"]
