"""Branches on common reflections."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest

from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentListFactory
from iotbx import mtz

from dials_spread.correction.apply.one_table import apply_factors
from dials_spread.placement.common_set import (
    common_set,
    read_branch,
    resampling_groups,
)
from dials_spread.placement.differences import group_sums_of


@pytest.fixture(scope="module")
def quartz(data_folder):
    folder = data_folder / "quartz"
    return folder / "scaled.expt", folder / "scaled.refl"


@pytest.fixture(scope="module")
def fewer(quartz, tmp_path_factory):
    """The same data without every seventh row, on another scale."""
    folder = tmp_path_factory.mktemp("fewer")
    table = flex.reflection_table.from_file(str(quartz[1]))
    kept = np.arange(len(table)) % 7 > 0
    kept &= np.array([h != (1, 0, 0) for h in table["miller_index"]])
    table = table.select(flex.bool(kept))
    table["intensity.scale.value"] *= 4.0
    table["intensity.scale.variance"] *= 16.0
    shutil.copy(quartz[0], folder / "x.expt")
    table.as_file(str(folder / "x.refl"))
    return folder / "x.expt", folder / "x.refl"


@pytest.fixture(scope="module")
def both(quartz, fewer):
    return common_set({"none": read_branch(*quartz), "before": read_branch(*fewer)})


@pytest.mark.slow
def test_merged_as_dials_merge_does(quartz, tmp_path):
    command = ["dials.merge", *map(str, quartz), "output.html=None"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    arrays = mtz.object(str(tmp_path / "merged.mtz")).as_miller_arrays()
    array = next(a for a in arrays if a.info().labels[0] == "IMEAN").map_to_asu()
    known = {
        h: (i, s) for h, i, s in zip(array.indices(), array.data(), array.sigmas())
    }
    branch = read_branch(*quartz)
    common = common_set({"none": branch})
    merged = common.merged["none"]
    same = 0
    for k, h in enumerate(common.unique_index):
        index = tuple(int(x) for x in h)
        if index not in known:
            continue
        value, sigma = known[index]
        assert merged.intensity[k] == pytest.approx(value, rel=2e-3, abs=0.1 * sigma)
        assert merged.sigma[k] == pytest.approx(sigma, rel=0.02)
        same += 1
    assert same > 0.95 * len(known)


def test_what_observations_share_is_in_the_merged_sigma(quartz, tmp_path):
    """By hand: 1/√Σ 1/σ² and the shared part, added in quadrature."""
    table = flex.reflection_table.from_file(str(quartz[1]))
    more = np.random.default_rng(0).uniform(1, 3, len(table))
    corrected = apply_factors(
        table, np.ones(len(table)), scaled=True, inflation=more, common=np.sqrt(more)
    )
    corrected.as_file(str(tmp_path / "a.refl"))
    shutil.copy(quartz[0], tmp_path / "a.expt")
    data = read_branch(tmp_path / "a.expt", tmp_path / "a.refl")
    merged = common_set({"after": data}).merged["after"]
    own, before = data.observations, read_branch(*quartz).observations
    np.testing.assert_allclose(own.variance, before.variance * more[own.row])
    for k in (0, 20, 150):
        mine = own.unique == k
        independent = 1 / np.sum(1 / own.variance[mine])
        shared = np.mean(np.sqrt(more[own.row[mine]] * own.variance[mine]))
        assert merged.sigma[k] == pytest.approx(np.hypot(independent**0.5, shared))
    plain = common_set({"none": read_branch(*quartz)})
    assert not plain.data["none"].common.any()


def test_reflections_that_all_have(both, quartz, fewer):
    a, b = both.merged["none"], both.merged["before"]
    np.testing.assert_array_equal(both.in_all, (a.n > 0) & (b.n > 0))
    assert a.n.sum() > b.n.sum()
    # Rows that are in both have one unique reflection in both.
    own = both.data["before"].observations
    np.testing.assert_array_equal(
        both.unique_index[both.unique["before"]], own.unique_index[own.unique]
    )
    assert not np.any(both.strong & ~both.in_all)


def test_strong_is_one_choice_for_all(both):
    ratios = [m.intensity / m.sigma for m in both.merged.values()]
    expected = both.in_all & (np.nanmean(ratios, axis=0) > 2)
    np.testing.assert_array_equal(both.strong, expected)
    assert 0 < both.strong.sum() < both.in_all.sum()


def test_one_crystal_is_cut_into_parts_of_its_scan(both):
    groups = resampling_groups(both, np.random.default_rng(0))
    assert groups.kind == "parts of scans" and groups.n == 12
    (experiment,) = both.data["none"].experiments
    first, last = experiment.scan.get_image_range()
    own = both.data["none"].observations
    frame = own.images.first[own.entry_image]
    part = groups.of["none"][own.entry]
    np.testing.assert_array_equal(part, (frame - first) * 12 // (last - first + 1))
    # In both branches alike.
    rows = dict(zip(own.row, groups.of["none"]))
    assert len(set(groups.of["before"])) == len(set(rows.values())) == 12


def test_sums_of_all_groups_are_the_merged_data(both):
    groups = resampling_groups(both, np.random.default_rng(0))
    sums = group_sums_of(both, groups)
    draws = groups.draws(np.random.default_rng(0), 5)
    for name, merged in both.merged.items():
        np.testing.assert_allclose(
            sums[name].merged(draws)[0], merged.intensity, rtol=1e-9
        )


def test_crystals_are_drawn_where_there_are_three(data_folder, tmp_path):
    """By identifier, in whatever order the files have them."""
    folder = data_folder / "abiraterone"
    table = flex.reflection_table.from_file(str(folder / "integrated.refl"))
    table["intensity.scale.value"] = table["intensity.prf.value"]
    table["intensity.scale.variance"] = table["intensity.prf.variance"]
    table["inverse_scale_factor"] = flex.double(len(table), 1.0)
    table.set_flags(flex.bool(len(table), True), table.flags.scaled)
    experiments = ExperimentListFactory.from_json_file(
        str(folder / "integrated.expt"), check_format=False
    )
    experiments.as_file(str(tmp_path / "a.expt"))
    table.as_file(str(tmp_path / "a.refl"))
    data = read_branch(tmp_path / "a.expt", tmp_path / "a.refl")
    groups = resampling_groups(common_set({"none": data}), np.random.default_rng(0))
    assert (groups.kind, groups.n) == ("crystals", len(experiments))
    names = sorted(data.identifiers)
    expected = [names.index(data.identifiers[c]) for c in data.observations.crystal]
    np.testing.assert_array_equal(groups.of["none"], expected)
