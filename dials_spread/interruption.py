"""
Ctrl-C, termination and the end of a run: one line, and nothing is left behind.

A program that gets SIGINT, SIGTERM or SIGHUP leaves at once with one line and the exit
status that shells give for the signal (130, 143, 129). It does not unwind: threads of
compiled loops would be waited for. What must be undone before is registered here.

Where ``run`` is called from Python with arguments, nothing is installed: Ctrl-C is a
KeyboardInterrupt as anywhere, and what is registered is undone at the end of the run.

Functions:
    install: leave with one line from now on
    whole_run: a decorator; what is registered ends with the run
    in_run: whether such a run is going on
    at_end: register what is to be undone
    say_when_ended: what becomes of files, for the line
    uninterrupted: signals wait until a few steps are done
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any, Callable

WORDS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "hung up"}
"""What a signal does, for the line."""

NOTHING_WRITTEN = "no file was written"


class _State:
    """What is to be known when a signal comes."""

    depth = 0
    leaving = False
    owner: int | None = None
    program = ""
    told = NOTHING_WRITTEN
    undo: list[Callable[[], Any]] = []


def install(program: str) -> None:
    """
    Leave with one line on SIGINT, SIGTERM and SIGHUP from now on.

    Args:
        program: Its name, for the line.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    _State.owner, _State.program = os.getpid(), program
    for name in WORDS:
        number = getattr(signal, name, None)
        # Ignored by whoever started it, as by nohup or by a shell with &: so it stays.
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _leave)


def _leave(number: int, _frame) -> None:
    """End this process now."""
    if os.getpid() != _State.owner:  # a fork of the program has no files of its own
        os._exit(128 + number)
    for name in WORDS:
        with contextlib.suppress(AttributeError):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    _State.leaving = True
    _undo_all()
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    word = WORDS[signal.Signals(number).name]
    # A progress bar, or ^C, stands in the line of a terminal.
    start = "\n" if os.isatty(2) else ""
    with contextlib.suppress(OSError):
        os.write(2, f"{start}{_State.program}: {word}; {_State.told}\n".encode())
    os._exit(128 + number)


def _undo_all() -> None:
    while _State.undo:
        # Forgotten only when it is done: a signal may come in between.
        undo = _State.undo[-1]
        with contextlib.suppress(Exception):
            undo()
        with contextlib.suppress(ValueError):
            _State.undo.remove(undo)


def whole_run(run: Callable) -> Callable:
    """
    Make the end of a command's run the end of all that is registered meanwhile.

    Called without arguments, as a program is, signals end the process (`install`); when
    the run is over they end it silently, as there is nothing to be told.

    Args:
        run: The command, called with a list of arguments or, as a program, with none.
    """

    @functools.wraps(run)
    def whole(args: list[str] | None = None, *more, **named):
        program = args is None and _State.depth == 0
        if program and _State.owner != os.getpid():
            install(os.path.basename(sys.argv[0]).removesuffix(".py"))
        if _State.depth == 0:
            _State.told = NOTHING_WRITTEN
        _State.depth += 1
        try:
            return run(args, *more, **named)
        finally:
            _State.depth -= 1
            if _State.depth == 0:
                _undo_all()
                if program:
                    _uninstall()

    return whole


def _uninstall() -> None:
    """Let signals end the process as it closes down, when Python's handlers are gone."""
    for name in WORDS:
        with contextlib.suppress(AttributeError, ValueError):
            if signal.getsignal(getattr(signal, name)) == _leave:
                signal.signal(getattr(signal, name), signal.SIG_DFL)


def in_run() -> bool:
    """Say whether a run is going on whose end is waited for."""
    return _State.depth > 0


def is_installed() -> bool:
    """Say whether a signal ends this process at once."""
    return _State.owner == os.getpid()


def is_leaving() -> bool:
    """Say whether a signal ends this process just now."""
    return _State.leaving


def at_end(undo: Callable[[], Any]) -> None:
    """
    Register what is to be undone at the end of the run, or when a signal ends it.

    Args:
        undo: Called once, the last registered first; what it raises is ignored.
    """
    if undo not in _State.undo:
        _State.undo.append(undo)


def say_when_ended(told: str) -> None:
    """
    Say what has become of files, for the line of a program that is ended.

    Args:
        told: Behind "interrupted;".
    """
    _State.told = told


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let signals wait; they come when this is left."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python's handlers run in the main thread alone
        return
    came: list[int] = []
    before = {}
    for name in WORDS:
        number = getattr(signal, name, None)
        if number is None or signal.getsignal(number) in (signal.SIG_IGN, None):
            continue
        before[number] = signal.signal(number, lambda n, _: came.append(n))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in came[:1]:
            signal.raise_signal(number)
