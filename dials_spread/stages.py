"""
Which stage a command is in, and how long it will take: one line on a terminal.

The line shows the name of a stage that lasts longer than a second, how much of it is done
and the time that remains, where its parts can be counted, and else the time that has
passed. Nothing is shown where standard error is no terminal, and nothing goes into logs.
A thread draws the line, so that stages need not: they say only that they begin and, where
there are blocks, groups or tasks, that one is done.

Functions:
    shown: stages within are shown
    stage: a stage, as a context or a decorator
    part: something within a stage that can be counted
    counted: the same of what is iterated over
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Callable

from tqdm import tqdm

DELAY = 1.0
"""Seconds that a stage, or a part of it that is counted, lasts before it is shown."""

STAYS = 2.0
"""Seconds from which on a stage leaves its line behind when it is done."""

EVERY = 0.2
"""Seconds between two drawings."""


class _Stage:
    """
    A stage that is going on.

    Attributes:
        name: In the line.
        begin: When it began, by the monotonic clock [s].
        total: Things to be counted in the part that is going on; 0 for nothing.
        n: Done of these.
        since: When the part began [s].
        told: Whether it has left a line, or stages within it have.
    """

    def __init__(self, name: str) -> None:
        self.name, self.begin = name, time.monotonic()
        self.total, self.n, self.since = 0, 0, self.begin
        self.told = False

    def text(self, columns: int, now: float) -> str:
        """The line."""
        if self.total and now - self.since >= DELAY:
            return self.meter(columns, now)
        return f"{self.name}: [{tqdm.format_interval(now - self.begin)}]"

    def meter(self, columns: int, now: float) -> str:
        """How much of the part is done, and the time that remains, as tqdm has it."""
        elapsed = now - self.since
        return tqdm.format_meter(
            self.n, self.total, elapsed, ncols=columns, prefix=self.name
        )

    def last_text(self, columns: int, now: float) -> str:
        """The line that stays; a part that was a stage of its own is shown as such."""
        if self.total:
            return self.meter(columns, now)
        return f"{self.name}: [{tqdm.format_interval(now - self.begin)}]"


class _Line:
    """The line of a terminal that is drawn over and over again."""

    def __init__(self, stream) -> None:
        self.stream = stream
        self.stages: list[_Stage] = []
        self.owner = (os.getpid(), threading.get_ident())
        self.lock, self.ended = threading.Lock(), threading.Event()
        self.length, self.cleared = 0, 0.0
        self.thread: threading.Thread | None = None

    def is_mine(self) -> bool:
        """Whether this is the thread, and not a fork of the process, that shows stages."""
        return self.owner == (os.getpid(), threading.get_ident())

    def is_counting(self) -> bool:
        """Whether parts of the stage that goes on are counted."""
        return bool(self.stages) and self.stages[-1].total > 0

    def columns(self) -> int:
        """Width of the terminal."""
        try:
            return os.get_terminal_size(self.stream.fileno()).columns or 80
        except (OSError, ValueError):
            return 80

    def begin(self, one: _Stage) -> None:
        """Go on with a stage, within the one before."""
        with self.lock:
            self.clear()
            self.stages.append(one)
        _clear_before_logs(self)
        if self.thread is None:
            self.thread = threading.Thread(target=self.keep_drawing, daemon=True)
            self.thread.start()

    def end(self, one: _Stage, failed: bool) -> None:
        """Leave a stage."""
        now = time.monotonic()
        with self.lock:
            self.stages.remove(one)
            self.clear()
            if not failed and now - one.begin >= STAYS and not one.told:
                columns = self.columns() - 1
                self.write(f"\r{one.last_text(columns, now)[:columns]}\n")
                one.told = True
            if one.told and self.stages:
                self.stages[-1].told = True

    def keep_drawing(self) -> None:
        """Draw until it is over."""
        while not self.ended.wait(EVERY):
            with self.lock:
                self.draw(time.monotonic())

    def draw(self, now: float) -> None:
        """Draw the innermost stage, unless something else is being written."""
        if not self.stages or now - self.cleared < EVERY / 2:
            return
        one = self.stages[-1]
        if now - one.begin < DELAY:
            return
        columns = self.columns() - 1
        text = one.text(columns, now)[:columns]
        self.write("\r" + text.ljust(self.length))
        self.length = len(text)

    def clear(self) -> None:
        """Empty the line: something else begins there."""
        if self.length:
            self.write("\r" + " " * self.length + "\r")
        self.length, self.cleared = 0, time.monotonic()

    def write(self, text: str) -> None:
        """Write, unless the terminal is gone."""
        try:
            self.stream.write(text)
            self.stream.flush()
        except (OSError, ValueError):
            self.ended.set()

    def close(self) -> None:
        """Stop drawing."""
        self.ended.set()
        if self.thread is not None:
            self.thread.join()
        with self.lock:
            self.clear()


_line: _Line | None = None
"""Where stages are shown; None where they are not."""


class _ClearBefore(logging.Handler):
    """Empties the line before other handlers write theirs."""

    def __init__(self, line: _Line) -> None:
        super().__init__()
        self.line = line

    def emit(self, _: logging.LogRecord) -> None:
        if self.line.owner[0] == os.getpid():
            with self.line.lock:
                self.line.clear()


def _clear_before_logs(line: _Line) -> None:
    """Be the first handler of all, which a command's set-up of its log may have removed."""
    handlers = logging.getLogger("dials").handlers
    if not any(isinstance(h, _ClearBefore) and h.line is line for h in handlers):
        handlers.insert(0, _ClearBefore(line))


@contextmanager
def shown(wanted: bool = True) -> Iterator[None]:
    """
    Show stages within on standard error, where that is a terminal.

    Args:
        wanted: False to change nothing.
    """
    global _line
    if not wanted or _line is not None or not _is_terminal(sys.stderr):
        yield
        return
    _line = line = _Line(sys.stderr)
    try:
        yield
    finally:
        _line = None
        line.close()
        handlers = logging.getLogger("dials").handlers
        for handler in [h for h in handlers if isinstance(h, _ClearBefore)]:
            handlers.remove(handler)


def _is_terminal(stream) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


@contextmanager
def stage(name: str) -> Iterator[None]:
    """
    Say that a stage goes on within, which takes the line from the one around it.

    Not so where parts of the one around it are being counted: these tell more.

    Args:
        name: Words for the line, such as "Noisy spots".
    """
    line = _line
    if line is None or not line.is_mine() or line.is_counting():
        yield
        return
    one, failed = _Stage(name), True
    line.begin(one)
    try:
        yield
        failed = False
    finally:
        line.end(one, failed)


def _nothing(_: int = 1) -> None:
    """Nobody looks on."""


@contextmanager
def part(total: int, name: str | None = None) -> Iterator[Callable[[int], None]]:
    """
    Count something within the stage that goes on.

    Args:
        total: How many there are.
        name: Of a stage of its own, which is shown whoever asks for it; None for a part of
            the one that goes on. A part within a part is not counted.

    Yields:
        A function to be called with how many more are done.
    """
    with shown(name is not None), stage(name) if name else nullcontext():
        line = _line
        if line is None or not line.stages or not line.is_mine():
            yield _nothing
            return
        if line.is_counting() or (total < 2 and name is None):
            yield _nothing
            return
        one = line.stages[-1]
        one.total, one.n, one.since = total, 0, time.monotonic()

        def done(n: int = 1) -> None:
            one.n += n

        try:
            yield done
        finally:
            one.total = 0 if name is None else total


def counted(items: Iterable, total: int, name: str | None = None) -> Iterator:
    """
    Count what is iterated over, as `part`.

    Args:
        items: Anything.
        total: How many there are.
        name: As of `part`.
    """
    with part(total, name) as done:
        for item in items:
            yield item
            done(1)
