"""Workers that may use too little memory, that are paused, or that are gone: one line."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from dials_spread import cluster, workers


class Scheduler:
    """Stands in for a client: what the scheduler would tell of its workers."""

    def __init__(self, *told: dict):
        self.told = told

    def scheduler_info(self, **_):
        return {"workers": dict(enumerate(self.told))}


def worker(limit=0.5e9, status="running", executing=0, used=0.37e9) -> dict:
    counts = {"executing": executing, "ready": 3}
    return {
        "memory_limit": limit,
        "status": status,
        "metrics": {"memory": used, "task_counts": counts},
    }


def test_the_part_of_a_limit_that_counts_is_of_the_configuration():
    pytest.importorskip("distributed")
    from dask import config

    assert workers.share_before_pause() == 0.8
    with config.set({"distributed.worker.memory.pause": False}):
        assert workers.share_before_pause() == 0.95
        with config.set({"distributed.worker.memory.terminate": False}):
            assert workers.share_before_pause() == 1


def test_what_is_needed_is_compared_with_what_dask_allows():
    pytest.importorskip("distributed")
    needed = workers.OF_PROCESS + 60_000_000
    enough = Scheduler(worker(needed / 0.79), worker(0))
    workers.refuse_too_little_memory(enough, 60_000_000, "it takes")
    with pytest.raises(ValueError) as told:
        workers.refuse_too_little_memory(
            Scheduler(worker(needed / 0.79), worker(needed / 0.81)),
            60_000_000,
            "it takes",
        )
    assert str(told.value) == (
        "Dask: a worker may use 0.617 GB of memory, of which Dask lets it fill 0.494, and "
        "it takes 0.5 GB; give each more (--memory-limit), or start fewer of them."
    )
    workers.refuse_too_little_memory(Scheduler(worker(0)), 10**12, "it takes")


@pytest.mark.parametrize(
    "told,expected",
    [
        ([worker(status="paused"), worker()], None),
        ([worker(status="paused", executing=1)], None),
        ([worker(status="paused"), worker(status="paused")], "all \\(2\\) are paused"),
        ([], "no worker is left"),
    ],
)
def test_workers_that_take_no_task(told, expected, monkeypatch):
    monkeypatch.setattr(workers, "PATIENCE", 0.1)
    monkeypatch.setattr(workers, "NONE_LEFT", 0.1)
    if expected is None:
        workers.refuse_idle(Scheduler(*told))
        return
    with pytest.raises(ValueError, match=expected):
        workers.refuse_idle(Scheduler(*told))


def _fill(_, n_bytes: int) -> int:
    """Take memory and keep it, as a program does that has been loaded."""
    _held.append(bytearray(b"1") * n_bytes)
    return len(_held)


_held: list = []


@pytest.mark.slow
def test_workers_that_are_paused_are_not_waited_for(monkeypatch):
    """The check at the beginning knows nothing of what tasks take."""
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(workers, "PATIENCE", 4)
    monkeypatch.setattr(workers, "OF_PROCESS", 0)
    begin = time.monotonic()
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=None, host="127.0.0.1",
        memory_limit="450MB", silence_logs=50,
    ) as own, cluster.on_workers(own.scheduler_address):  # fmt: skip
        with pytest.raises(
            ValueError, match=r"all \(1\) are paused: one has 0\.\d+ GB"
        ):
            [*cluster.told(_fill, None, [(290_000_000,)] + [(1,)] * 20)]
        # Nothing can be sent to it: Dask waits for half a minute.
        with pytest.raises(ValueError, match=r"all \(1\) are paused"):
            cluster.map_on_workers(_fill, bytearray(1000), [1])
    assert time.monotonic() - begin < 60


def test_a_crystal_that_takes_more_than_a_worker_may(address):
    from dials_spread.simulation.driver import Resources, run_tasks

    with pytest.raises(ValueError, match=r"one task of this stage takes 9\.44 GB"):
        run_tasks(_fill, None, [1], Resources(scheduler=address, takes=9_000_000_000))


def test_a_late_message_at_the_end_is_no_news(caplog):
    """Another fault that nobody asked for is told."""
    log = logging.getLogger("asyncio")
    log.addFilter(workers.is_news)
    with caplog.at_level(logging.ERROR, "asyncio"):
        for error in (asyncio.TimeoutError("Timeout"), OSError("other")):
            log.error("Future exception was never retrieved", exc_info=error)
        log.error("other")
    found = [r.exc_info and str(r.exc_info[1]) for r in caplog.records]
    assert found == ["other", None]
