"""Tables in, observations out: counts, several lists, images, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx import uctbx
from dials.array_family import flex
from dxtbx.model import Beam, Crystal, Experiment, ExperimentList, Goniometer, Scan

from dials_spread.observations import build_observations
from dials_spread.observations.builder import reference_cell
from dials_spread.observations.canonical_order import image_rank


def experiment(a=8.0, first=1, n_frames=20, width=0.5, wavelength=0.0251):
    return Experiment(
        beam=Beam((0, 0, 1), wavelength),
        crystal=Crystal((a, 0, 0), (0, 9, 0), (0, 0, 12), "P 21 21 21"),
        goniometer=Goniometer((1, 0, 0)),
        scan=Scan((first, first + n_frames - 1), (0.0, width)),
    )


def table(rows, kind="prf"):
    """Rows are (hkl, z, intensity, variance)."""
    result = flex.reflection_table()
    result["miller_index"] = flex.miller_index([r[0] for r in rows])
    result["id"] = flex.int(len(rows), 0)
    result["xyzcal.px"] = flex.vec3_double([(0.0, 0.0, r[1]) for r in rows])
    low = [int(np.floor(r[1])) for r in rows]
    result["bbox"] = flex.int6([(0, 5, 0, 5, z - 1, z + 2) for z in low])
    result[f"intensity.{kind}.value"] = flex.double([r[2] for r in rows])
    result[f"intensity.{kind}.variance"] = flex.double([r[3] for r in rows])
    flags = flex.reflection_table.flags
    flag = int(flags.integrated_prf if kind == "prf" else flags.integrated_sum)
    result["flags"] = flex.size_t(len(rows), flag)
    return result


ONE = [
    ((1, 2, 3), 0.4, 10.0, 1.0),
    ((-1, -2, -3), 3.1, 11.0, 1.0),
    ((0, 0, 0), 3.0, 5.0, 1.0),
    ((3, 0, 0), 5.0, 5.0, 1.0),  # absent
    ((2, 2, 0), 2.0, 12.0, -1.0),
    ((1, 2, 4), 19.9, 13.0, 4.0),
]
TWO = [((1, -2, 3), 60.2, 20.0, 4.0), ((2, 1, 1), 66.0, 21.0, 9.0)]


def two_lists(**choices):
    experiments = [experiment(8.0), experiment(8.2, first=60)]
    tables = [table(ONE), table(TWO)]
    return build_observations(experiments, tables, dataset=[0, 3], **choices)


def test_a_hand_made_set():
    observations = two_lists()
    assert observations.choice == "profile" and not observations.scaled
    assert observations.dropped == {
        "no Miller index": 1,
        "variance not positive and finite": 1,
        "systematically absent": 1,
    }
    assert len(observations) == 5 and observations.n_crystals == 2
    np.testing.assert_array_equal(observations.row, [0, 1, 5, 0, 1])
    np.testing.assert_array_equal(observations.crystal, [0, 0, 0, 1, 1])
    np.testing.assert_array_equal(observations.dataset, [0, 3])
    np.testing.assert_array_equal(observations.intensity, [10, 11, 13, 20, 21])
    np.testing.assert_array_equal(observations.sigma, [1, 1, 2, 2, 3])
    # 1° images are two frames wide: 1-2, 3-4, 19-20 and 60-61, 66-67.
    images = observations.images
    np.testing.assert_array_equal(images.crystal, [0, 0, 0, 1, 1])
    np.testing.assert_array_equal(images.first, [1, 3, 19, 60, 66])
    np.testing.assert_array_equal(images.last, [2, 4, 20, 61, 67])
    np.testing.assert_array_equal(observations.entry, [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(observations.entry_image, [0, 1, 2, 3, 4])
    # mmm: 123, -1-2-3 and 1-23 are one reflection.
    assert len({*observations.unique[[0, 1, 3]]}) == 1
    assert len(observations.unique_index) == 3
    assert observations.radiation == "electrons"
    assert observations.unit_cell.parameters()[0] == pytest.approx(8.1)
    d = [observations.unit_cell.d(tuple(h)) for h in observations.unique_index.tolist()]
    np.testing.assert_allclose(observations.d_spacing, d)


def test_without_friedels_law_mates_are_two():
    observations = two_lists(friedel=False)
    one, mate, _, other, _ = observations.unique
    # 1-23 is 123 with two axes reversed and inverted: the mate's.
    assert one != mate and other == mate


def test_extent_adds_entries_not_observations():
    observations = two_lists(assign="extent", image_width=0.5)
    assert len(observations) == 5
    images = observations.images
    on = [
        {
            int(images.first[i])
            for i in observations.entry_image[observations.entry == n]
        }
        for n in range(5)
    ]
    # Boxes reach a frame to either side, within the scan.
    assert on == [{1, 2}, {3, 4, 5}, {19, 20}, {60, 61, 62}, {66, 67, 68}]
    assert (np.diff(observations.entry_image) >= 0).all()


def test_the_order_of_crystals_only_renumbers():
    one = two_lists()
    experiments, tables = (
        [experiment(8.2, first=60), experiment(8.0)],
        [table(TWO), table(ONE)],
    )
    two = build_observations(experiments, tables)
    assert one.dropped == two.dropped
    np.testing.assert_array_equal(two.crystal, 1 - one.crystal)
    for name in ("intensity", "variance", "miller_index", "unique", "row"):
        np.testing.assert_array_equal(getattr(two, name), getattr(one, name))
    order = [3, 4, 0, 1, 2]
    np.testing.assert_array_equal(image_rank(two), image_rank(one)[order])
    np.testing.assert_array_equal(two.images.first, one.images.first[order])
    np.testing.assert_allclose(two.images.beam, one.images.beam[order])


def test_an_experiment_list_will_do_too():
    experiments = ExperimentList([experiment(), experiment(first=60)])
    assert len(build_observations(experiments, [table(ONE), table(TWO)])) == 5


def test_tables_are_left_as_they_are():
    mine = table(ONE)
    before = mine.copy()
    build_observations([experiment()], [mine])
    assert [*mine.keys()] == [*before.keys()] and len(mine) == len(before)
    for key in before.keys():
        assert list(mine[key]) == list(before[key])


def test_an_empty_table_has_no_say():
    empty = table(ONE, "sum").select(flex.bool(len(ONE), False))
    observations = build_observations([experiment(), experiment()], [table(ONE), empty])
    assert len(observations) == 3 and observations.n_crystals == 1


def test_nothing_left_is_an_error_with_the_counts():
    bad = [((0, 0, 0), 1.0, 5.0, 1.0), ((1, 1, 1), 1.0, 5.0, 0.0)]
    expected = "no Miller index: 1, variance not positive and finite: 1"
    with pytest.raises(ValueError, match=expected):
        build_observations([experiment()], [table(bad)])


def test_mixed_intensities_fall_back_to_what_all_have():
    fitted = table(ONE)
    for end in ("value", "variance"):
        fitted[f"intensity.sum.{end}"] = fitted[f"intensity.prf.{end}"]
    flags = fitted.flags
    both = int(flags.integrated_prf | flags.integrated_sum)
    fitted["flags"] = flex.size_t(len(fitted), both)
    observations = build_observations(
        [experiment(), experiment(first=60)], [fitted, table(TWO, "sum")]
    )
    assert observations.choice == "sum" and len(observations) == 5


def test_the_reference_cell_is_the_mean_and_obeys_the_symmetry():
    cell = reference_cell([experiment(8.0), experiment(8.2), experiment(8.3)])
    expected = uctbx.unit_cell(((8.0 + 8.2 + 8.3) / 3, 9, 12, 90, 90, 90))
    assert cell.is_similar_to(expected, 1e-9, 1e-9)


def test_radiation_follows_the_wavelength():
    found = [
        build_observations([experiment(wavelength=w)], [table(ONE)]).radiation
        for w in (0.0197, 0.0487, 0.7)
    ]
    assert found == ["electrons", "electrons", "X-rays"]
