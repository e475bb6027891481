"""Each piece of work is done once, and a failure is not swallowed."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from dials_spread.threads import run_blocks


@pytest.mark.parametrize("nproc", [1, 2, 7, None])
@pytest.mark.parametrize(("n", "block"), [(0, 5), (1, 5), (10, 3), (9, 3), (100, 1)])
def test_each_thing_is_done_once(n, block, nproc):
    done, ranges = np.zeros(n, dtype=int), []

    def work(first, stop):
        done[first:stop] += 1
        ranges.append((first, stop))

    run_blocks(work, n, block, nproc)
    assert (done == 1).all()
    assert all(0 < stop - first <= block for first, stop in ranges)
    assert len(ranges) == -(-n // block)


@pytest.mark.parametrize("nproc", [1, 3])
def test_exceptions_reach_the_caller(nproc):
    def work(first, stop):
        if first == 4:
            raise ValueError("block 4")

    with pytest.raises(ValueError, match="block 4"):
        run_blocks(work, 10, 2, nproc)


def test_no_more_threads_than_asked_for():
    names = set()
    run_blocks(lambda *_: names.add(threading.get_ident()), 200, 1, 2)
    assert 1 <= len(names) <= 2 and threading.get_ident() not in names


def test_no_progress_bar_where_there_is_no_terminal(capsys):
    run_blocks(lambda *_: None, 10, 1, 1, progress="Working")
    run_blocks(lambda *_: None, 10, 1, 1)
    assert capsys.readouterr() == ("", "")
