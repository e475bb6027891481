"""Heavy stages on a real scheduler and two workers: what one process gives, to the last digit."""

from __future__ import annotations

import os
import signal
import socket

import numpy as np
import pytest

from dials_spread import cluster
from dials_spread.partners import find_partners, finder
from dials_spread.spread.chance import likelihood
from dials_spread.spread.chance.pools import CommonSpots, build_pools


def incidence(rng, n=300, n_columns=80, on_image=20):
    rows = [np.sort(rng.choice(n_columns, on_image, False)) for _ in range(n)]
    column = np.concatenate(rows).astype(np.int32)
    permutation = np.stack([np.arange(n_columns), np.arange(n_columns)[::-1]])
    return np.arange(n + 1) * on_image, column, permutation


def pairs_of_images(rng, n=40, spots=12, n_unique=30, n_images=25):
    """Observations of every reflection on every image, and random pairs of images."""
    image, unique = np.divmod(np.arange(n_images * n_unique), n_unique)
    level = rng.uniform(50, 200, n_unique)[unique]
    intensity = level * (1 + 0.2 * rng.standard_normal(len(level)))
    variance = np.full(len(level), 4.0)
    pools = build_pools(image, image, unique, intensity, variance)
    a, b = np.array([rng.choice(n_images, 2, False) for _ in range(n)]).T
    u = np.array([np.sort(rng.choice(n_unique, spots, False)) for _ in range(n)])
    on_a, on_b = ((k[:, None] * n_unique + u).ravel() for k in (a, b))
    columns = (x[on] for on in (on_a, on_b) for x in (intensity, variance))
    start = np.arange(n + 1) * spots
    return CommonSpots(start, a == b, u.ravel(), *columns), pools


def test_partners_do_not_depend_on_who_finds_them(address, monkeypatch):
    given = incidence(np.random.default_rng(0))
    here = find_partners(*given, top=4)
    monkeypatch.setattr(finder, "TASK", 77)
    with cluster.on_workers(address):
        there = find_partners(*given, top=4)
    for name, values in vars(here).items():
        np.testing.assert_array_equal(getattr(there, name), values)


@pytest.mark.parametrize("spots_for_each_reflection", [0, 10**9])
def test_permutations_do_not_depend_on_who_draws_them(
    address, monkeypatch, spots_for_each_reflection
):
    """Whether pairs of images share what is drawn, or each draws for itself."""
    monkeypatch.setattr(likelihood, "SHARED", spots_for_each_reflection)
    given = pairs_of_images(np.random.default_rng(1))

    def ratios():
        return likelihood.pair_ratios(
            *given, 0.2, 0.5, np.random.default_rng(2), permutations=99, nproc=1
        )

    here = ratios()
    with cluster.on_workers(address):
        there = ratios()
    assert np.isfinite(here).all() and 0.2 < np.mean(here[1]) < 0.8
    np.testing.assert_array_equal(there, here)


def test_couplings_do_not_depend_on_who_sums_them(address, monkeypatch, read_measured):
    from dials_spread.observations import build_observations
    from dials_spread.prepare import coupling
    from dials_spread.prepare.geometry import add_geometry
    from dials_spread.prepare.prepared import prepare

    experiments, tables = read_measured("quartz/integrated")
    observations = build_observations([*experiments], tables)
    measured = add_geometry(observations, experiments, tables)
    here = prepare(measured, 1)
    monkeypatch.setattr(coupling, "TASK", 4096)
    with cluster.on_workers(address):
        there = prepare(measured, 1)
    np.testing.assert_array_equal(there.coupling, here.coupling)


def test_the_model_does_not_depend_on_who_applies_it(
    address, monkeypatch, read_measured
):
    from dials_spread.correction.apply.estimates import SHIPPED
    from dials_spread.correction.features import feature_groups
    from dials_spread.correction.model import general, model_file
    from dials_spread.correction.model.network import predict
    from dials_spread.observations import build_observations
    from dials_spread.prepare import crystal_groups
    from dials_spread.prepare.geometry import add_geometry
    from dials_spread.prepare.prepared import prepare

    experiments, tables = read_measured("carbamazepine/integrated")
    observations = build_observations([*experiments], tables)
    prepared = prepare(add_geometry(observations, experiments, tables), 1)
    model = general.unpack(model_file.read_model(SHIPPED))
    monkeypatch.setattr(crystal_groups, "GROUP", 300)
    here, n = general.correct_prepared(model, prepared, 1)
    assert n > 3 * 300 and len({*prepared.measured.crystal}) > 1
    asked = []
    keep, told = cluster.keep, cluster.told
    monkeypatch.setattr(cluster, "keep", lambda f, *a: asked.append(f) or keep(f, *a))
    monkeypatch.setattr(cluster, "told", lambda f, *a: asked.append(f) or told(f, *a))
    with cluster.on_workers(address):
        there, _ = general.correct_prepared(model, prepared, 1)
    assert predict._as_kept in asked and feature_groups.observation_table in asked
    assert predict._there in asked and predict._as_it_is not in asked
    for name in ("F", "error_F", "sigma_F", "intensity", "bias"):
        np.testing.assert_array_equal(getattr(there, name), getattr(here, name))
    assert there.evidence == here.evidence


def _die_once(folder: str, task: int) -> int:
    """The first worker that meets the task is killed over it."""
    try:
        os.mkdir(folder)
    except FileExistsError:
        return task + 1
    os.kill(os.getpid(), signal.SIGKILL)
    return -1


def test_what_a_worker_leaves_behind_is_made_up_for(address, tmp_path):
    with cluster.on_workers(address):
        found = cluster.map_on_workers(_die_once, str(tmp_path / "once"), [1, 2, 3])
    assert found == [2, 3, 4]
    assert not cluster.in_use()


def test_all_workers_are_asked_again_when_one_dies_over_it(address, tmp_path):
    with cluster.on_workers(address):
        found = cluster.on_each_worker(_die_once, str(tmp_path / "once"), 1)
    assert {*found.values()} == {2}


def test_a_worker_that_nobody_can_connect_to_is_told_in_one_line(monkeypatch):
    """A scheduler that has not yet seen that a worker died runs into this as well."""
    distributed, dask = (pytest.importorskip(x) for x in ("distributed", "dask"))
    monkeypatch.setattr(cluster, "ALLOWED_FAILURES", 1)
    monkeypatch.setattr(cluster, "PATIENCE", 2)
    config = {"distributed.comm.timeouts.connect": "1s"}
    with dask.config.set(config), distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=None, host="127.0.0.1",
        protocol="tcp", processes=False,
    ) as alone:  # fmt: skip
        with cluster.on_workers(alone.scheduler_address):
            for worker in alone.workers.values():
                worker.stop()
            alone.scheduler.rpc.remove(alone.workers[0].address)
            with pytest.raises(ValueError, match="workers were lost .*onnect"):
                cluster.on_each_worker(os.getpid)
            with pytest.raises(ValueError, match="workers were lost .*onnect"):
                cluster.map_on_workers(_twice, 0, [1])


def _cannot_read() -> None:
    raise FileNotFoundError(2, "No such file or directory", "data.refl")


def test_what_a_call_raises_is_not_taken_for_a_fault_of_the_cluster(address):
    with cluster.on_workers(address):
        with pytest.raises(FileNotFoundError, match="data.refl"):
            cluster.on_each_worker(_cannot_read)


def _held_back() -> set:
    return signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_ctrl_c_does_not_reach_workers_of_this_process():
    """They would leave tracebacks behind its line."""
    pytest.importorskip("distributed")
    with cluster.on_workers(local=2):
        found = cluster.on_each_worker(_held_back)
    assert [signal.SIGINT in blocked for blocked in found.values()] == [True, True]


def _twice(_, number: int) -> int:
    return 2 * number


def _die_once_over(shared: tuple, doubled: int) -> int:
    """The first worker that meets a task is killed, with what it was sent and has kept."""
    return _die_once(shared[0], doubled)


@pytest.mark.slow
def test_the_only_worker_may_die_with_all_that_it_holds(tmp_path):
    distributed = pytest.importorskip("distributed")
    large = np.zeros(cluster.LARGE)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=None, host="127.0.0.1",
    ) as alone, cluster.on_workers(alone.scheduler_address):  # fmt: skip
        kept = cluster.keep(_twice, None, [(k,) for k in (1, 2, 3)])
        shared = str(tmp_path / "once"), large
        found = [*cluster.told(_die_once_over, shared, [(k,) for k in kept])]
    assert found == [3, 5, 7]


def test_workers_with_too_little_memory_are_told_before_they_begin(address, tmp_path):
    never_touched, folder = np.zeros(200_000_000), tmp_path / "never made"
    with cluster.on_workers(address):
        with pytest.raises(
            ValueError, match=r"may use 1\.5 GB .* takes 2\.04 GB; give each"
        ):
            cluster.map_on_workers(_die_once, (folder, never_touched), [1])
    assert not folder.exists()


def test_clusters_that_cannot_be_used():
    pytest.importorskip("distributed")
    with pytest.raises(ValueError, match="give one of the two"):
        cluster.check("tcp://127.0.0.1:1", 2)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    with pytest.raises(ValueError, match="nothing answers there"):
        cluster.check(f"tcp://127.0.0.1:{free}", None)
    cluster.check(None, None)
    with cluster.on_workers():
        assert not cluster.in_use()
