"""Commands on workers that may use less memory than the program itself takes."""

from __future__ import annotations

import importlib
import os
import time

import pytest

from dials.util import Sorry


@pytest.fixture(scope="module")
def small():
    """A cluster of two workers of few bytes, by these."""
    distributed = pytest.importorskip("distributed")
    started = {}

    def start(memory: str) -> str:
        if memory not in started:
            started[memory] = distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, dashboard_address=None,
                host="127.0.0.1", memory_limit=memory,
            )  # fmt: skip
        return started[memory].scheduler_address

    yield start
    for one in started.values():
        one.close()


@pytest.mark.slow
@pytest.mark.parametrize("memory", ["300MB", "390MB", "450MB"])
@pytest.mark.parametrize(
    "name,more",
    [
        ("compare_images", []),
        ("compare_images", ["dask.observations=workers"]),
        ("ml_correct", []),
        ("simulate_ed", ["structure=quartz", "n_crystals=2"]),
    ],
)
def test_commands_refuse_workers_that_would_be_stopped(good, small, memory, name, more):
    before, begin = {*os.listdir(".")}, time.monotonic()
    files = [] if name == "simulate_ed" else [good.expt, good.refl]
    run = importlib.import_module(f"dials_spread.command_line.{name}").run
    with pytest.raises(Sorry) as told:
        run([*files, *more, f"dask.scheduler={small(memory)}", "nproc=1"])
    (line,) = str(told.value).splitlines()
    assert line.startswith(f"Dask: a worker may use 0.{memory[:2].rstrip('0')}")
    assert "the program itself, before it has any data, takes 0.44 GB" in line
    assert {*os.listdir(".")} == before
    assert time.monotonic() - begin < 60
