"""Files read by two workers of a real scheduler: what one process reads, or one clear line."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from dials_spread import cluster
from dials_spread.observations import reading_on_workers, right_factors
from dials_spread.valid_input.columns import READ

pytestmark = pytest.mark.slow


def same_input(there, here):
    for name in ("dataset", "files", "unmatched", "notes", "lp", "numbers"):
        assert getattr(there, name) == getattr(here, name), name
    assert [e.identifier for e in there.experiments] == [
        e.identifier for e in here.experiments
    ]
    for a, b in zip(there.experiments, here.experiments):
        assert (a.crystal, a.beam, a.scan) == (b.crystal, b.beam, b.scan)
    assert len(there.tables) == len(here.tables)
    for a, b in zip(there.tables, here.tables):
        assert sorted(a.keys()) == sorted(b.keys())
        assert dict(a.experiment_identifiers()) == dict(b.experiment_identifiers())
        for name in a.keys():
            np.testing.assert_array_equal(np.array(a[name]), np.array(b[name]))


@pytest.mark.parametrize("columns", [READ, None])
def test_workers_read_what_one_process_reads(address, crystal_files, columns):
    here = right_factors.read(*crystal_files, columns=columns)
    with cluster.on_workers(address):
        there = right_factors.read(*crystal_files, columns=columns)
    same_input(there, here)


def test_tables_find_experiments_of_other_files(address, crystal_files):
    expt, refl = crystal_files
    os.rename("0.refl", "a.refl")
    os.rename("2.refl", "0.refl")
    os.rename("a.refl", "2.refl")
    here = right_factors.read(expt[::-1], refl, columns=READ)
    with cluster.on_workers(address):
        there = right_factors.read(expt[::-1], refl, columns=READ)
    same_input(there, here)
    assert [*here.numbers[0].values()] == [0]


def _die_once(asked, task):
    """The first worker that is to read the second file is killed over it."""
    if task.name == "1.refl":
        try:
            os.mkdir(Path(task.path).with_name("died"))
        except FileExistsError:
            pass
        else:
            os.kill(os.getpid(), signal.SIGKILL)
    return reading_on_workers_read_part(asked, task)


reading_on_workers_read_part = reading_on_workers.read_part


def test_a_worker_that_dies_while_it_reads_is_made_up_for(
    address, crystal_files, monkeypatch
):
    here = right_factors.read(*crystal_files, columns=READ)
    monkeypatch.setattr(reading_on_workers, "read_part", _die_once)
    with cluster.on_workers(address):
        there = right_factors.read(*crystal_files, columns=READ)
    assert os.path.isdir("died")
    same_input(there, here)


def refusal(address, crystal_files) -> list[str]:
    with cluster.on_workers(address), pytest.raises(ValueError) as refused:
        right_factors.read(*crystal_files, columns=READ)
    return str(refused.value).splitlines()


def test_a_file_that_disappears_while_workers_read(address, crystal_files, monkeypatch):
    given = cluster.map_on_workers

    def remove_then_map(function, shared, tasks, *takes):
        if function is reading_on_workers.read_part:
            os.remove("1.refl")
        return given(function, shared, tasks, *takes)

    monkeypatch.setattr(cluster, "map_on_workers", remove_then_map)
    (told,) = refusal(address, crystal_files)
    assert told.startswith("1.refl: no such file on ")
    assert told.endswith(", where a worker was to read it")


def test_workers_that_do_not_see_a_file(address, crystal_files):
    """Of each process /proc/self/cwd is the folder of its own."""
    unseen = [crystal_files[0], [*crystal_files[1][:2], "/proc/self/cwd/2.refl"]]
    (told,) = refusal(address, unseen)
    assert told.startswith("/proc/self/cwd/2.refl: no such file on any worker (tcp:")
    assert told.endswith("all have to see it under that name")


def test_a_file_that_takes_more_than_a_worker_may(address, crystal_files, monkeypatch):
    monkeypatch.setattr(reading_on_workers, "FILE_IN_MEMORY", 1e6)
    (told,) = refusal(address, crystal_files)
    assert told.startswith(
        "Dask: a worker may use 1.5 GB of memory, of which Dask lets "
    )
    assert "it fill 1.2, and one task of this stage takes " in told


def test_all_faults_are_told_at_once(address, crystal_files):
    for name in ("0.expt", "1.refl"):
        Path(name).write_text("nothing")
    told = refusal(address, crystal_files)
    assert [line.partition(":")[0] for line in told] == ["0.expt", "1.refl"]
    with pytest.raises(ValueError) as here:
        right_factors.read(*crystal_files, columns=READ)
    assert str(here.value).splitlines() == told
