"""
Other processes: they end when this one ends, however it ends.

A process that is killed outright can end nobody. So each worker lets the kernel watch its
parent: by PR_SET_PDEATHSIG on Linux where the parent started it itself; by a signal of the
pipe that the parent holds open where a fork server did. Neither waits for Python, which a
compiled loop may hold. Elsewhere a thread watches the pipe.

Functions:
    worker_pool: a pool of processes
    submit: give a pool work; its processes do not hear Ctrl-C
    outcome: what came of it
    start_program, run_program: another program
    end_all: end them now
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import multiprocessing
import multiprocessing.connection
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import BaseContext
from typing import Any, Callable

from dials_spread import interruption

PR_SET_PDEATHSIG = 1

PARENT = "DIALS_SPREAD_PARENT"
"""In the environment: the number of the process that starts the fork server."""

KILLED = "a process was killed, perhaps for want of memory: try with a smaller nproc"

# A program of its own, so that no code runs between fork and exec of a process that has
# threads: it asks for the signal, then becomes the program that is wanted.
_BECOME = (
    "import ctypes,os,signal,sys\n"
    "ctypes.CDLL(None).prctl(1,signal.SIGKILL,0,0,0)\n"
    "if os.getppid()!=int(sys.argv[1]):sys.exit(1)\n"
    "try:os.execvp(sys.argv[2],sys.argv[2:])\n"
    "except OSError as e:sys.exit(f'{sys.argv[2]} cannot be run: {e.strerror}')\n"
)

_programs: set[subprocess.Popen] = set()
_pools: weakref.WeakSet[ProcessPoolExecutor] = weakref.WeakSet()

# Of these, those whose processes a server starts: that takes seconds while the server
# imports, and Ctrl-C is heard meanwhile.
_heard: weakref.WeakSet[ProcessPoolExecutor] = weakref.WeakSet()


def worker_pool(
    n: int,
    context: BaseContext,
    initializer: Callable | None = None,
    initargs: tuple = (),
) -> ProcessPoolExecutor:
    """
    Make a pool of processes that end with this one and do not hear Ctrl-C.

    Args:
        n: Processes.
        context: Of multiprocessing.
        initializer, initargs: Called in each process before its first work.
    """
    interruption.at_end(end_all)
    _start_tracker()
    own = (os.getpid(), initializer, initargs)
    served = context.get_start_method() == "forkserver"
    if served:
        # Its children inherit the mask of the server, which it gets here.
        os.environ[PARENT] = str(os.getpid())
        with _without_interrupts():
            forkserver.ensure_running()
    pool = ProcessPoolExecutor(n, context, _begin, own)
    _pools.add(pool)
    if served and interruption.is_installed():
        _heard.add(pool)
    return pool


def submit(pool: ProcessPoolExecutor, function: Callable, *args) -> Future:
    """
    Give a pool work.

    Args:
        pool: Of `worker_pool`. What it starts now, or what that starts, inherits a mask
            of signals: Ctrl-C on a terminal, which goes to all processes, is for the
            program alone, which then ends the others.
        function, args: The work.

    Raises:
        ValueError: A process was killed.
    """
    with contextlib.nullcontext() if pool in _heard else _without_interrupts():
        try:
            return pool.submit(function, *args)
        except (BrokenProcessPool, ConnectionError, EOFError):
            raise ValueError(KILLED) from None


def outcome(future: Future) -> Any:
    """
    Wait for what came of work that was given to a pool.

    Args:
        future: Of `submit`.

    Raises:
        ValueError: A process was killed; or what the function raises.
    """
    try:
        return future.result()
    except BrokenProcessPool:
        raise ValueError(KILLED) from None


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_tracker() -> None:
    """Start the process that removes what killed ones leave, and let it be silent."""
    # Not later: when it starts, it lets signals through again.
    before = [*sys.warnoptions]
    sys.warnoptions.append("ignore::UserWarning:multiprocessing.resource_tracker")
    try:
        resource_tracker.ensure_running()
    finally:
        sys.warnoptions[:] = before


def _begin(parent: int, initializer: Callable | None, initargs: tuple) -> None:
    """First of all in a worker."""
    for name in interruption.WORDS:
        wanted = signal.SIG_IGN if name == "SIGINT" else signal.SIG_DFL
        with contextlib.suppress(AttributeError, ValueError):
            signal.signal(getattr(signal, name), wanted)
    _end_with(parent)
    if initializer is not None:
        initializer(*initargs)


def _end_with(parent: int) -> None:
    if os.getppid() == parent and die_with_parent():
        if os.getppid() != parent:  # it ended before this was asked for
            os._exit(1)
        return
    process = multiprocessing.parent_process()
    if process is None:
        return
    sentinel: Any = process.sentinel
    try:
        # SIGIO, which ends a process, when the other end of the pipe is closed.
        fcntl.fcntl(sentinel, fcntl.F_SETOWN, os.getpid())
        flags = fcntl.fcntl(sentinel, fcntl.F_GETFL)
        fcntl.fcntl(sentinel, fcntl.F_SETFL, flags | os.O_ASYNC)
    except (OSError, AttributeError):
        pass
    threading.Thread(target=_watch, args=(sentinel,), daemon=True).start()


def die_with_parent() -> bool:
    """Let the kernel kill this process when its parent dies; false where it cannot."""
    if not sys.platform.startswith("linux"):
        return False
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return True


def _watch(sentinel: Any) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)


def start_program(command: Sequence[str], **named) -> subprocess.Popen:
    """
    Start another program, which is killed where this one ends before it.

    Args:
        command: The program and its arguments.
        named: As for subprocess.Popen; "with" and wait as usual.

    Returns:
        The process. Where the program cannot be run it ends with status 1 and says so.
        The thread that calls must last as long as the program.
    """
    interruption.at_end(end_all)
    if sys.platform.startswith("linux"):
        begin = [sys.executable, "-I", "-S", "-c", _BECOME, str(os.getpid())]
        command = [*begin, *command]
    program = subprocess.Popen(command, **named)
    for old in [*_programs]:
        if old.returncode is not None:
            _programs.discard(old)
    _programs.add(program)
    return program


def run_program(
    command: Sequence[str], timeout: float | None = None, **named
) -> subprocess.CompletedProcess:
    """
    Run another program to its end.

    Args:
        command: The program and its arguments.
        timeout: [s]; it is killed then.
        named: As for subprocess.Popen.

    Returns:
        Status and what it printed, where pipes were asked for.

    Raises:
        subprocess.TimeoutExpired: It took longer.
    """
    with start_program(command, **named) as program:
        try:
            printed = program.communicate(timeout=timeout)
        except BaseException:
            program.kill()
            raise
    return subprocess.CompletedProcess(command, program.returncode, *printed)


def end_all() -> None:
    """Kill all workers and programs that were started here."""
    if interruption.is_leaving():
        # It may be importing; otherwise it is left to end by itself.
        server = getattr(forkserver, "_forkserver", None)
        pid = getattr(server, "_forkserver_pid", None)
        if pid is not None:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
    for program in [*_programs]:
        # Not poll(): a thread that waits for it holds its lock.
        if program.returncode is None:
            with contextlib.suppress(OSError):
                os.kill(program.pid, signal.SIGKILL)
    for pool in [*_pools]:
        # Of this pool alone: others may have processes of their own in this one. None
        # when it is shut down.
        for pid in [*(getattr(pool, "_processes", None) or ())]:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
