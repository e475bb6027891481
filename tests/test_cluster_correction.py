"""Corrections on a real scheduler: what one process gives, to the last digit."""

from __future__ import annotations

import contextlib
import glob
import os
import signal

import numpy as np
import pytest

from dials_spread import cluster
from dials_spread.correction.features import feature_groups
from dials_spread.correction.model.network import predict
from dials_spread.prepare import crystal_groups
from dials_spread.prepare.crystal_groups import CrystalGroups, places
from dials_spread.prepare.decay import find_scales
from dials_spread.prepare.prepared import check_lorentz


@pytest.fixture(autouse=True)
def small_groups(monkeypatch):
    """Each crystal is a group."""
    monkeypatch.setattr(crystal_groups, "GROUP", 1)


def damaged(measured, rate=(3.0, 1.5, 2.5)):
    """Three crystals that lose what is far out, the more the later it is measured."""
    low = [measured.angle[measured.crystal == c].min() for c in range(3)]
    part = (measured.angle - np.array(low)[measured.crystal]) / 50.0
    B = np.array(rate)[measured.crystal] * part
    return measured.multiplied(np.exp(-B * measured.d_star_sq[measured.unique] / 2))


def scaled(measured):
    """Scales, damage, and the power of the Lorentz factor, as numbers."""
    groups = CrystalGroups.of(measured, 1)
    scales = find_scales(measured, groups)
    _, r_meas = check_lorentz(measured, None, groups)
    assert scales.decay is not None
    one_each = scales.scale, scales.relative_B, scales.crystal_log_scale
    return *one_each, scales.decay.rate, scales.decay.own, np.array([*r_meas.values()])


@contextlib.contextmanager
def some_workers(n):
    """The address of workers of a test's own, which may be killed."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=n, threads_per_worker=1, dashboard_address=None, host="127.0.0.1",
    ) as own:  # fmt: skip
        yield own.scheduler_address


def kill_one():
    """Kill a worker with all that it keeps."""
    os.kill(min(cluster.on_each_worker(os.getpid).values()), signal.SIGKILL)


def same(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert np.isfinite(a).all()
        np.testing.assert_array_equal(a, b)


def test_groups_are_of_whole_crystals_and_cut_by_the_data(monkeypatch):
    crystal = np.array([4, 4, 4, 1, 1, 0, 0, 0, 0])
    monkeypatch.setattr(crystal_groups, "GROUP", 4)
    first, second = places(crystal, 5)
    assert (first.rows, second.rows) == (slice(0, 5), slice(5, 9))
    # Those without observations are of the last.
    assert (first.crystals.tolist(), second.crystals.tolist()) == ([4, 1], [0, 2, 3])
    assert second.sizes.tolist() == [4, 0, 0]
    # Rows in any order.
    mixed = np.array([1, 4, 0, 4, 0, 1, 0, 0, 4])
    found = places(mixed, 5)
    assert [mixed[p.rows].tolist() for p in found] == [[0] * 4, [1, 1, 4, 4, 4]]
    assert [p.crystals.tolist() for p in found] == [[0], [1, 4, 2, 3]]
    assert places(np.empty(0, int), 2)[0].sizes.tolist() == [0, 0]


def test_scales_do_not_depend_on_who_sums(address, small):
    measured = damaged(small)
    here = scaled(measured)
    assert here[3].min() > 0.5
    with cluster.on_workers(address):
        assert CrystalGroups.of(measured).elsewhere
        same(scaled(measured), here)


@pytest.mark.slow
@pytest.mark.parametrize("n_workers", [1, 3])
def test_nor_on_their_number_nor_on_whether_one_dies(n_workers, small, monkeypatch):
    measured, asked = damaged(small), []
    here, told = scaled(measured), cluster.told

    with some_workers(n_workers) as own, cluster.on_workers(own):

        def told_until(function, *args):
            """In the midst of things one worker is killed, with the groups it keeps."""
            asked.append(function)
            if len(asked) == 12:
                kill_one()
            return told(function, *args)

        monkeypatch.setattr(cluster, "told", told_until)
        same(scaled(measured), here)
    assert len(asked) > 50


def corrected(*arguments) -> dict[str, np.ndarray]:
    """The columns of numbers that dials.ml_correct writes of files in this folder."""
    from dials.array_family import flex

    from dials_spread.command_line.ml_correct import run

    files = [*glob.glob("[0-2].expt"), *glob.glob("[0-2].refl")]
    run([*sorted(files), "nproc=1", "strength=1", *arguments])
    table = flex.reflection_table.from_file("corrected.refl")
    return {
        name: table[name].as_numpy_array()
        for name in table.keys()
        if isinstance(table[name], flex.double)
    }


def hardly_differ(found, expected):
    """A cell that was sent as a matrix differs in its sixteenth digit."""
    assert found.keys() == expected.keys() and "ml_correction" in found
    assert not (found["ml_correction"] == 1).all()
    for name, column in expected.items():
        size = 1e-10 * np.abs(column).mean()
        np.testing.assert_allclose(found[name], column, rtol=1e-10, atol=size)


def test_the_corrected_table_is_that_of_one_process(address, crystal_files):
    expected = corrected()
    hardly_differ(corrected(f"dask.scheduler={address}"), expected)


@pytest.mark.slow
@pytest.mark.parametrize("step", [feature_groups.first_sums, predict._there])
def test_a_worker_dies_while_features_are_used(step, crystal_files, monkeypatch):
    expected, asked, told = corrected(), [], cluster.told

    def told_until(function, *args):
        if function is step:
            asked.append(function)
            if len(asked) == 1:
                kill_one()
        return told(function, *args)

    monkeypatch.setattr(cluster, "told", told_until)
    with some_workers(2) as own:
        hardly_differ(corrected(f"dask.scheduler={own}"), expected)
    assert asked


def test_too_little_memory_for_a_group_is_told_before_it_is_sent(
    address, small, monkeypatch
):
    monkeypatch.setattr(crystal_groups, "TAKES", 10_000_000)
    with cluster.on_workers(address):
        groups = CrystalGroups.of(small)
        with pytest.raises(
            ValueError, match="one group of crystals takes .* give each"
        ):
            assert groups.observed
