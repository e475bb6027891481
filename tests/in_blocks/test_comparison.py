"""Blocks on two workers of a real scheduler: what one process says, to rounding."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from dials_spread import cluster
from dials_spread.comparison import Matching, compare_images
from dials_spread.in_blocks import comparison, pair_tasks
from dials_spread.in_blocks.blocks import Reading
from dials_spread.in_blocks.size import weighted_edges
from dials_spread.observations import Choices, right_factors
from dials_spread.observations.canonical_order import crystal_rank
from dials_spread.observations.right_factors import Asked
from dials_spread.significance import contrast_orientations
from dials_spread.valid_input.columns import READ

pytestmark = pytest.mark.slow

MATCHING = {"top": 20, "min_common": 2}

SAME = 20.0
"""[°], so that there are enough common spots."""


def in_one_process(expt, refl, **choices):
    data = right_factors.read(expt, refl, columns=READ)
    return compare_images(
        data.experiments, data.tables, data.dataset, Matching(**MATCHING, same_orientation=SAME),
        nproc=1, **choices,
    )  # fmt: skip


def on_workers(address, expt, refl, error_model=True):
    how = Reading(Asked(columns=READ), Choices(), error_model)
    with cluster.on_workers(address):
        return comparison.compare_in_blocks(
            expt, refl, how, **MATCHING, same_angle=SAME
        )


def by_images(matches):
    return np.lexsort((matches.image_b, matches.image_a))


def same_answers(there, here):
    """All that blocks tell."""
    np.testing.assert_allclose(there.scales, here.scales, rtol=1e-12)
    size = here.spread.size
    overall = [size.overall.s[0], size.overall.s_low[0], size.overall.s_high[0]]
    found = [there.size.s, there.size.low, there.size.high]
    np.testing.assert_allclose(found, overall, rtol=1e-9)
    for bins, rows in (
        (size.by_intensity, there.size.by_intensity),
        (size.by_resolution, there.size.by_resolution),
    ):
        expected = [bins.s, bins.s_low, bins.s_high]
        np.testing.assert_allclose(rows, expected, rtol=1e-9)
    np.testing.assert_allclose(there.size.by_crystal, size.by_crystal.s, rtol=1e-9)
    assert there.size.n_observations == size.overall.n[0]
    a, b = by_images(there.pairs), by_images(here.matches)
    for name in ("image_a", "image_b", "operator", "n_common"):
        one, other = getattr(there.pairs, name)[a], getattr(here.matches, name)[b]
        np.testing.assert_array_equal(one, other)
    for name, values in there.statistics.items():
        expected = getattr(here.agreement, name)[b]
        np.testing.assert_allclose(values[a], expected, rtol=1e-6, atol=1e-6)
        told, wanted = (x[name].as_dict() for x in (there.medians, here.summary))
        assert told == pytest.approx(wanted, rel=1e-5, nan_ok=True)


def test_two_workers_say_what_one_process_says(address, crystal_files, monkeypatch):
    monkeypatch.setattr(pair_tasks, "SPOTS_TOGETHER", 2000)  # several groups of blocks
    here, there = in_one_process(*crystal_files), on_workers(address, *crystal_files)
    same_answers(there, here)
    factor = here.spread.factors.factor
    np.testing.assert_allclose(there.factors, factor, rtol=1e-6)
    same = here.same_orientation.of(here.matches.beam_angle)
    crystal = crystal_rank(here.observations)[here.observations.images.crystal]
    expected = contrast_orientations(
        here.incidence, here.matches, same, crystal, here.spread,
        np.random.default_rng(0), test=False, nproc=1,
    )  # fmt: skip
    assert expected.n_spots > 100
    for name in ("n_pairs", "n_spots", "n_crystals"):
        assert getattr(there.contrast, name) == getattr(expected, name)
    for name in ("s_within", "s_others", "ratio"):
        value = getattr(expected, name)
        assert getattr(there.contrast, name) == pytest.approx(value, rel=1e-6), name
    # The variance of random signs, from 1,999 sets of them and in closed form.
    seen = here.contrast.ratio_seen
    assert there.contrast.ratio_seen == pytest.approx(seen, abs=0.1 * (1 - seen))


def test_the_order_of_files_does_not_matter(address, crystal_files):
    there = on_workers(address, *crystal_files)
    again = on_workers(address, *(names[::-1] for names in crystal_files))
    found = [(x.size.s, x.size.low, x.size.high) for x in (there, again)]
    np.testing.assert_allclose(*found, rtol=1e-9)
    assert again.contrast.ratio == pytest.approx(there.contrast.ratio, rel=1e-6)
    np.testing.assert_allclose(again.scales[::-1], there.scales, rtol=1e-9)


def test_scaled_data_of_one_crystal(address, data_folder):
    files = [[str(data_folder / f"quartz/scaled.{e}")] for e in ("expt", "refl")]
    from dials_spread.spread.analysis import SpreadChoices

    here = in_one_process(*files, spread=SpreadChoices(error_model=False))
    there = on_workers(address, *files, error_model=False)
    same_answers(there, here)
    assert there.contrast.reason == here.contrast.reason


def _die_once(shared, blocks, task):
    """The first worker that compares pairs is killed over it, with the blocks it holds."""
    try:
        os.mkdir(os.environ["DIED"])
    except FileExistsError:
        return pair_tasks.compare_task(shared, blocks, task)
    os.kill(os.getpid(), signal.SIGKILL)
    return None


def _let_know(path: str) -> None:
    os.environ["DIED"] = path


def test_blocks_that_are_lost_with_a_worker_are_read_again(
    address, crystal_files, monkeypatch, tmp_path
):
    here = in_one_process(*crystal_files)
    path = str(tmp_path / "died")
    given = comparison.cluster.told

    def told(function, shared, tasks):
        return given(_Dying(path) if function is compared else function, shared, tasks)

    compared = comparison.compare_task
    monkeypatch.setattr(comparison.cluster, "told", told)
    same_answers(on_workers(address, *crystal_files), here)
    assert Path(path).is_dir()


class _Dying:
    """A task that knows where to leave its mark."""

    def __init__(self, path: str):
        self.path = path

    def __call__(self, shared, blocks, task):
        _let_know(self.path)
        return _die_once(shared, blocks, task)


def test_more_than_a_worker_may_use_is_told_before(address, crystal_files, monkeypatch):
    from dials_spread.in_blocks import matching

    monkeypatch.setattr(matching, "OF_ENTRY", 1e7)
    with pytest.raises(ValueError, match=r"may use 1\.5 GB .* matching these images"):
        on_workers(address, *crystal_files)
    monkeypatch.setattr(comparison, "FILE_IN_MEMORY", 1e6)
    with pytest.raises(ValueError, match=r"1\.5 GB .* reading the largest file takes"):
        on_workers(address, *crystal_files)


def test_files_that_do_not_serve(address, crystal_files):
    expt, refl = crystal_files
    with pytest.raises(ValueError, match=r"^none\.expt: no such file on any worker"):
        on_workers(address, ["none.expt", *expt[1:]], refl)
    with pytest.raises(ValueError, match=r"3 experiment files and 2 reflection files"):
        on_workers(address, expt, refl[1:])
    Path("1.refl").write_text("nothing")
    with pytest.raises(ValueError, match=r"^1\.refl: cannot be read"):
        on_workers(address, expt, refl)


def test_edges_of_values_that_are_there_many_times():
    rng = np.random.default_rng(0)
    x, number = rng.normal(size=50), rng.integers(1, 9, 50)
    expected = np.quantile(np.repeat(x, number), np.linspace(0, 1, 11))
    np.testing.assert_allclose(weighted_edges(x, number, 10), np.unique(expected))
    assert weighted_edges(np.ones(3), np.ones(3, int), 4).tolist() == [1, 1]
