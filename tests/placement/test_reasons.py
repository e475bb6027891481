"""Where branches differ, against what was put in."""

from __future__ import annotations

import numpy as np
import pytest

from dials.array_family import flex

from dials_spread.placement.branches import AFTER, NONE
from dials_spread.placement.common_set import common_set, read_branch
from dials_spread.placement.reasons import most_different, scaling_summary


@pytest.fixture(scope="module")
def two(kinematic, tmp_path_factory):
    """The same data twice; in the second, one reflection is four times as strong."""
    folder = tmp_path_factory.mktemp("other")
    table = flex.reflection_table.from_file(str(kinematic[1]))
    first = read_branch(*kinematic)
    merged = common_set({NONE: first}).merged[NONE]
    strongest = int(np.nanargmax(merged.intensity))
    index = first.observations.unique_index[strongest]
    rows = first.observations.unique == strongest
    for crystal in np.unique(first.observations.crystal[rows]):
        own = np.flatnonzero(table["id"].as_numpy_array() == crystal)
        mine = rows & (first.observations.crystal == crystal)
        for row in own[first.observations.row[mine]]:
            table["intensity.scale.value"][int(row)] *= 4
    outliers = np.zeros(len(table), bool)
    outliers[:7] = True
    table.set_flags(flex.bool(outliers), table.flags.outlier_in_scaling)
    table.as_file(str(folder / "x.refl"))
    other = read_branch(kinematic[0], folder / "x.refl")
    return common_set({NONE: first, AFTER: other}), tuple(int(x) for x in index)


def test_the_reflection_that_differs_is_named_first(two, small_structure):
    common, index = two
    from dials_spread.scattering.structure_factors import structure_factors

    f_calc = np.abs(structure_factors(small_structure, common.unique_index))
    found = most_different(common, NONE, AFTER, f_calc, n=3)
    assert found[0].miller_index == index
    assert found[0].f[1] / found[0].f[0] == pytest.approx(2, rel=0.1)
    apart = [abs(one.f[0] - one.f[1]) for one in found]
    assert apart == sorted(apart, reverse=True)


def test_rejected_observations_are_counted(two):
    common, _ = two
    before, after = (scaling_summary(common, name) for name in (NONE, AFTER))
    assert before.n_outliers == 0
    assert 0 < after.n_outliers <= 7
    assert before.n_observations - after.n_observations == after.n_outliers
    scales = np.concatenate(
        [
            np.log(t["inverse_scale_factor"].as_numpy_array()[rows])
            for k, t in enumerate(common.data[NONE].tables)
            for rows in [
                common.data[NONE].observations.row[
                    common.data[NONE].observations.crystal == k
                ]
            ]
        ]
    )
    assert before.log_scale_sd == pytest.approx(np.std(scales))
