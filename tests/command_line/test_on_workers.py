"""Commands with a real scheduler and two workers on loopback."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def two_files(good):
    """Three crystals in two pairs of files."""
    from dxtbx.model import ExperimentList

    for name, ids in (("a", [0]), ("b", [1, 2])):
        part = good.table.select(good.table["id"] == ids[0])
        for k in ids[1:]:
            part.extend(good.table.select(good.table["id"] == k))
        ExperimentList([good.experiments[k] for k in ids]).as_file(f"{name}.expt")
        part.reset_ids()
        part.as_file(f"{name}.refl")
    return ["a.expt", "a.refl", "b.expt", "b.refl"]


def test_observations_that_stay_on_workers(address, two_files):
    from dials_spread.command_line.compare_images import run

    run([*two_files, "nproc=1", "variogram.analyse=False", "noisy_spots.analyse=False"])
    here = json.loads(Path("dials.compare_images.json").read_text())
    run([*two_files, f"dask.scheduler={address}", "dask.observations=workers"])
    there = json.loads(Path("dials.compare_images.json").read_text())
    for key in ("s", "s_low", "s_high", "n", "n_reflections"):
        assert there["spread"][key] == pytest.approx(here["spread"][key], rel=1e-9)
    assert there["n_matches"] == here["n_matches"]
    for key in (
        "crystals",
        "images",
        "observations",
        "unique",
        "dropped",
        "space_group",
    ):
        assert there["input"][key] == here["input"][key]
    assert "permutation test of each pair" in there["not_answered"]
    assert (
        "- permutation test of each pair"
        in Path("dials.compare_images.log").read_text()
    )
    tables = np.load("dials.compare_images.npz")
    assert len(tables["pairs"]) == there["n_matches"]
    assert len(tables["images"]) == there["input"]["images"]
    assert len(tables["crystals"]) == 3


def test_what_takes_all_observations_is_refused(address, two_files, refused):
    told = refused(*two_files, "dask.observations=workers", "n_pairs_shown=3")
    assert len(told) == 1 and told[0].startswith(
        "dask.observations=workers: give dask."
    )
    workers = f"dask.scheduler={address}", "dask.observations=workers"
    (told,) = refused(*two_files, *workers, "pair=0,1,1,2", "output.figures=f")
    assert "not with dask.observations=workers" in told
    (told,) = refused(*two_files, *workers, "assign=extent")
    assert told.startswith("assign=extent: with dask.observations=workers")
    (told,) = refused(*two_files[:3], *workers)
    assert told.startswith("2 experiment files and 1 reflection files")


def test_ml_correct_reads_on_workers(address, two_files):
    from dials.array_family import flex

    from dials_spread.command_line.ml_correct import run

    run([*two_files, "nproc=1"])
    here = flex.reflection_table.from_file("corrected.refl")
    run([*two_files, f"dask.scheduler={address}", "nproc=1"])
    there = flex.reflection_table.from_file("corrected.refl")
    assert [*here.keys()] == [*there.keys()]
    for name in here.keys():
        if name.startswith(("intensity", "ml_correction")):
            a, b = (np.array(t[name], dtype=float) for t in (here, there))
            np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12, err_msg=name)
