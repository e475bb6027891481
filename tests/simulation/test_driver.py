"""The same crystals come out wherever they are simulated."""

from __future__ import annotations

import operator
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from dials_spread.simulation.crystals import (
    CrystalTask,
    Setup,
    prepare_sample,
    simulate_crystal,
)
from dials_spread.simulation.driver import Resources, run_tasks
from dials_spread.simulation.noise import NoiseModel
from dials_spread.structures.structure_files import read_structure

N = 24


@pytest.fixture(scope="module")
def sample():
    noise = NoiseModel(image_spread=0.1, extra_error=0.1)
    return prepare_sample(
        read_structure("quartz"), Setup(d_min=1.0, wave="dynamical", noise=noise)
    )


@pytest.fixture(scope="module")
def tasks():
    seeds = np.random.default_rng(3).integers(2**63, size=N)
    return [CrystalTask(i, int(seed), 20.0, 1.0) for i, seed in enumerate(seeds)]


@pytest.fixture(scope="module")
def expected(sample, tasks):
    """All crystals, one after the other in this process."""
    return content(run_tasks(simulate_crystal, sample, tasks, Resources(1)))


def content(tables) -> list[bytes]:
    return [table.as_msgpack() for table in tables]


@pytest.mark.slow
def test_processes_and_threads_give_the_same_bits(sample, tasks, expected):
    several = run_tasks(simulate_crystal, sample, tasks[:6], Resources(3))
    assert content(several) == expected[:6]
    threaded = run_tasks(simulate_crystal, sample, tasks[4:5], Resources(2))
    assert content(threaded) == expected[4:5]


def test_a_crystal_does_not_depend_on_the_others(sample, tasks, expected):
    backwards = run_tasks(simulate_crystal, sample, tasks[5:2:-1], Resources(1))
    assert content(backwards) == expected[5:2:-1]


def test_noise_and_wave_leave_the_crystals_as_they_are(tasks):
    structure = read_structure("quartz")
    tables = [
        simulate_crystal(
            prepare_sample(structure, Setup(d_min=1.0, **choices)), tasks[0]
        )
        for choices in (
            {"wave": "kinematic"},
            {"wave": "dynamical"},
            {"wave": "kinematic", "noise": NoiseModel(mean_counts=50)},
        )
    ]
    for name in ("miller_index", "xyzcal.px", "truth.image_factor"):
        columns = [list(table[name]) for table in tables]
        assert columns[0] == columns[1] == columns[2]
    assert tables[0]["truth.scale"] == pytest.approx(tables[1]["truth.scale"])


def test_results_keep_the_order_of_the_tasks():
    assert run_tasks(operator.sub, 10, [*range(7)], Resources(2)) == [*range(10, 3, -1)]


def test_an_error_in_a_process_arrives():
    with pytest.raises(ZeroDivisionError):
        run_tasks(operator.truediv, 1, [1, 0], Resources(2))


def test_a_process_that_was_killed_is_told_in_one_line():
    with pytest.raises(ValueError, match="a process was killed"):
        run_tasks(eval, "__import__('os')._exit(1)", [{}, {}], Resources(2))


def start(*arguments) -> subprocess.Popen:
    """Start a part of a cluster; its output is of no interest."""
    command = [sys.executable, "-m", *map(str, arguments)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, **quiet)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


@pytest.fixture
def cluster():
    """A scheduler, two workers that are not restarted, and a client that watches."""
    distributed = pytest.importorskip("distributed")
    address = f"tcp://127.0.0.1:{free_port()}"
    port = address.rsplit(":", 1)[1]
    local = ("--host", "127.0.0.1", "--no-dashboard")
    scheduler = start("distributed.cli.dask_scheduler", "--port", port, *local)
    single = ("--nthreads", "1", "--no-nanny")
    workers = [
        start("distributed.cli.dask_worker", address, "--name", name, *single, *local)
        for name in ("one", "two")
    ]
    try:
        with distributed.Client(address, timeout=60, set_as_default=False) as watcher:
            watcher.wait_for_workers(2, timeout=60)
            yield address, workers, watcher
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait()


@pytest.mark.slow
def test_a_worker_that_dies_midway_changes_nothing(sample, tasks, expected, cluster):
    address, workers, watcher = cluster
    results = []
    thread = threading.Thread(
        target=lambda: results.extend(
            run_tasks(simulate_crystal, sample, tasks, Resources(scheduler=address))
        )
    )
    thread.start()

    def finished() -> int:
        return watcher.run_on_scheduler(
            lambda dask_scheduler: sum(
                state.state == "memory" and key.startswith("simulate_crystal")
                for key, state in dask_scheduler.tasks.items()
            )
        )

    wait_for(lambda: finished() >= 2)
    workers[1].send_signal(signal.SIGKILL)
    wait_for(lambda: len(watcher.scheduler_info()["workers"]) == 1)
    assert finished() < N, "too late to be a test"
    thread.join(120)
    assert content(results) == expected


@pytest.mark.parametrize(
    "scheduler,told",
    [
        ("rubbish", "not an address"),
        ("tcp://127.0.0.1:99999", "not an address"),
        ("tcp://127.0.0.1:{free}", "nothing answers there"),
        ("tcp://nowhere.invalid:8786", "nothing answers there"),
    ],
)
def test_schedulers_that_are_not_there(scheduler, told):
    pytest.importorskip("distributed")
    resources = Resources(scheduler=scheduler.format(free=free_port()))
    with pytest.raises(ValueError, match=told) as error:
        run_tasks(operator.sub, 1, [1], resources)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_a_scheduler_without_workers(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("dials_spread.cluster.PATIENCE", 5)
    port = free_port()
    scheduler = start(
        *("distributed.cli.dask_scheduler", "--port", port),
        *("--host", "127.0.0.1", "--no-dashboard"),
    )
    try:

        def answers() -> bool:
            with socket.socket() as probe:
                return not probe.connect_ex(("127.0.0.1", port))

        wait_for(answers)
        with pytest.raises(ValueError, match="it has no workers"):
            run_tasks(
                *(operator.sub, 1, [1]),
                Resources(scheduler=f"tcp://127.0.0.1:{port}"),
            )
    finally:
        scheduler.kill()
        scheduler.wait()


def test_without_dask_the_need_for_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(
        ValueError, match="need the package distributed, which is not installed"
    ):
        run_tasks(operator.sub, 1, [1], Resources(scheduler="tcp://127.0.0.1:1"))
