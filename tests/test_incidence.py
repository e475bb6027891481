"""Images as rows, indices as columns: by hand, and unchanged by permutation."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx import sgtbx
from dials.array_family import flex
from dxtbx.model import Beam, Crystal, Experiment, Goniometer, Scan

from dials_spread.incidence import build_incidence, close_under, common_entries, pack
from dials_spread.observations import build_observations
from dials_spread.symmetry import laue_operators

# h, k, l, frame from 0, intensity, sigma: three frames of a monoclinic crystal.
ROWS = [
    (1, 2, 3, 0.5, 10.0, 1.0),
    (2, 0, -1, 0.1, 20.0, 2.0),
    (1, 2, 3, 0.9, 16.0, 2.0),  # measured again on the first frame
    (-1, 2, -3, 1.5, 30.0, 3.0),
    (-2, 0, 1, 1.6, 40.0, 4.0),
    (4, 4, 4, 1.2, 50.0, 5.0),
    (1, -2, 3, 2.7, 60.0, 6.0),
]


def observations_of(rows, friedel=True, **choices):
    experiment = Experiment(
        beam=Beam((0, 0, 1), 0.0251),
        crystal=Crystal((8, 0, 0), (0, 9, 0), (-1, 0, 12), "P 1 2 1"),
        goniometer=Goniometer((1, 0, 0)),
        scan=Scan((1, 3), (0.0, 1.0)),
    )
    table = flex.reflection_table()
    h, k, l, z, i, s = (np.array(c) for c in zip(*rows))
    table["miller_index"] = flex.miller_index([tuple(r[:3]) for r in rows])
    table["id"] = flex.int(len(rows), 0)
    table["xyzcal.px"] = flex.vec3_double([(0.0, 0.0, float(x)) for x in z])
    table["intensity.sum.value"] = flex.double(i.astype(float))
    table["intensity.sum.variance"] = flex.double(s.astype(float) ** 2)
    flag = int(flex.reflection_table.flags.integrated_sum)
    table["flags"] = flex.size_t(len(rows), flag)
    return build_observations([experiment], [table], friedel=friedel, **choices)


def contents(incidence):
    """Each image as {index: (intensity, variance)}."""
    images = []
    for i in range(len(incidence)):
        row = incidence.row(i)
        hkl = incidence.miller_index[incidence.column[row]].tolist()
        values = zip(incidence.intensity[row], incidence.variance[row])
        images.append(dict(zip(map(tuple, hkl), values)))
    return images


def test_a_hand_made_set():
    observations = observations_of(ROWS)
    incidence = build_incidence(observations)
    one, two, three = contents(incidence)
    # 10(1) and 16(2): weights 1 and 1/4, mean 14/1.25, variance 1/1.25.
    assert one.keys() == {(1, 2, 3), (2, 0, -1)}
    assert one[1, 2, 3] == pytest.approx((11.2, 0.8))
    assert one[2, 0, -1] == pytest.approx((20.0, 4.0))
    assert two.keys() == {(-1, 2, -3), (-2, 0, 1), (4, 4, 4)}
    assert three == {(1, -2, 3): pytest.approx((60.0, 36.0))}
    np.testing.assert_array_equal(incidence.counts, [2, 3, 1])
    for i in range(3):
        assert (np.diff(incidence.column[incidence.row(i)]) > 0).all()


@pytest.mark.parametrize("friedel", [True, False])
def test_common_entries_by_hand(friedel):
    incidence = build_incidence(observations_of(ROWS, friedel))
    symbols = incidence.operators.symbols
    assert set(symbols) == (
        {"h,k,l", "-h,k,-l", "-h,-k,-l", "h,-k,l"} if friedel else {"h,k,l", "-h,k,-l"}
    )
    # -h,k,-l takes both of the first two of image 1 onto those of image 0.
    on_a, on_b = common_entries(incidence, 0, 1, symbols.index("-h,k,-l"))
    hkl = incidence.miller_index[incidence.column]
    pairs = {
        (tuple(a), tuple(b)) for a, b in zip(hkl[on_a].tolist(), hkl[on_b].tolist())
    }
    assert pairs == {((1, 2, 3), (-1, 2, -3)), ((2, 0, -1), (-2, 0, 1))}
    assert not len(common_entries(incidence, 0, 1, symbols.index("h,k,l"))[0])
    if friedel:
        on_a, on_b = common_entries(incidence, 1, 2, symbols.index("-h,-k,-l"))
        assert hkl[on_a].tolist() == [[-1, 2, -3]]
        assert hkl[on_b].tolist() == [[1, -2, 3]]


def test_unique_numbers_follow_friedels_law():
    for friedel, expected in ((True, 3), (False, 4)):
        # (1,2,3) = (-1,2,-3); (2,0,-1) = (-2,0,1); (4,4,4); with Friedel (1,-2,3) too.
        assert len(observations_of(ROWS, friedel).unique_index) == expected


def test_the_order_of_rows_does_not_matter():
    one = contents(build_incidence(observations_of(ROWS)))
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(ROWS))
        two = contents(build_incidence(observations_of([ROWS[i] for i in order])))
        assert [{k: pytest.approx(v) for k, v in image.items()} for image in one] == two


def test_scales_divide():
    observations = observations_of(ROWS)
    one = contents(build_incidence(observations))
    two = contents(build_incidence(observations, np.array([4.0])))
    for a, b in zip(one, two):
        for hkl, (i, v) in a.items():
            assert b[hkl] == pytest.approx((i / 4, v / 16))


def test_a_joined_image_has_the_observations_of_its_frames():
    observations = observations_of(ROWS, image_width=2.0)
    one, two = contents(build_incidence(observations))
    assert len(one) == 5 and len(two) == 1
    np.testing.assert_array_equal(observations.images.last, [2, 3])


@pytest.mark.parametrize("group", ["P 1", "P 1 2/m 1", "P 3 2 1", "F m -3 m"])
def test_operators_are_permutations_of_the_columns(group):
    space_group = sgtbx.space_group_info(group).group()
    operators = laue_operators(space_group, np.eye(3), True)
    hkl = np.unique(np.random.default_rng(1).integers(-9, 10, (40, 3)), axis=0)
    closed, permutation = close_under(hkl, operators)
    assert {*map(tuple, hkl.tolist())} <= {*map(tuple, closed.tolist())}
    for w, p in zip(operators.on_indices, permutation):
        np.testing.assert_array_equal(closed[p], closed @ w.T)
        np.testing.assert_array_equal(np.sort(p), np.arange(len(closed)))
    again, _ = close_under(closed, operators)
    np.testing.assert_array_equal(again, closed)


def test_packed_numbers_are_unique_and_in_order():
    hkl = np.array(np.meshgrid(*[np.arange(-3, 4)] * 3, indexing="ij")).reshape(3, -1).T
    np.testing.assert_array_equal(np.diff(pack(hkl, 3)), 1)
