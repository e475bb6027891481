"""Each piece of work is done once, and a failure is not swallowed."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from dials_spread import threads
from dials_spread.session import command
from dials_spread.threads import one_blas_thread, run_blocks


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
    names = []

    def work(*_):
        names.append(threading.get_ident())

    run_blocks(work, 2, 1, 2)
    # The first range of a function that is new is done here, before any other begins.
    assert names[0] == threading.get_ident() and len(names) == 2
    names.clear()
    run_blocks(work, 200, 1, 2)
    assert 1 <= len({*names}) <= 2 and threading.get_ident() not in names


def test_a_new_function_has_begun_and_ended_once_before_several_threads_call_it():
    running, most = [], []

    def work(first, stop):
        running.append(first)
        most.append((first, len(running)))
        time.sleep(0.01)
        running.remove(first)

    run_blocks(work, 8, 1, 4)
    assert most[0] == (0, 1) and max(n for _, n in most) > 1


def test_no_progress_bar_where_there_is_no_terminal(capsys):
    run_blocks(lambda *_: None, 10, 1, 1, progress="Working")
    run_blocks(lambda *_: None, 10, 1, 1)
    assert capsys.readouterr() == ("", "")


def _threads_of_products() -> set[int]:
    return {
        lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"
    }


def test_products_of_matrices_keep_to_one_thread_where_several_work():
    before, seen = _threads_of_products(), []
    with threadpool_limits(2, user_api="blas"):
        run_blocks(lambda *_: seen.append(_threads_of_products()), 4, 1, 2)
        assert _threads_of_products() == {2}  # as it was
        with one_blas_thread(), one_blas_thread():
            assert _threads_of_products() == {1}
        assert _threads_of_products() == {2}
    assert seen == [{1}] * 4 and _threads_of_products() == before


def test_a_command_keeps_to_one_thread_as_well():
    with threadpool_limits(2, user_api="blas"):
        assert command(lambda _args: _threads_of_products())([]) == {1}
        assert _threads_of_products() == {2}


@pytest.mark.parametrize("met", [True, False])
def test_little_is_done_alone_in_place_of_the_first_range(monkeypatch, met):
    """If it has met no types, the first range is done alone as well."""
    monkeypatch.setattr(threads, "_met", set())
    order = []

    def little():
        order.append(("little", threading.get_ident()))
        return met

    def work(first, _):
        order.append((first, threading.get_ident()))

    run_blocks(work, 4, 1, 2, little=little)
    here = threading.get_ident()
    assert order[0] == ("little", here)
    assert ((0, here) in order) == (not met)
    assert sorted(first for first, _ in order[1:]) == [0, 1, 2, 3]
