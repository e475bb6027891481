from __future__ import annotations

import numpy as np
import pytest

from cctbx import crystal, miller
from cctbx.array_family import flex

from dials_spread.solution.amplitudes import (
    local_means,
    sphere_amplitudes,
    usable_resolution,
)


def test_half_a_sphere_of_quartz_is_what_cctbx_expands_to(kinematic):
    f_sq, _ = kinematic("quartz")
    amplitudes = sphere_amplitudes(f_sq)
    assert amplitudes.n_unique == f_sq.size()
    expected = f_sq.expand_to_p1()
    assert len(amplitudes) == expected.size()
    by_index = dict(zip(expected.indices(), expected.data()))
    found = {
        tuple(h): F**2 for h, F in zip(amplitudes.miller_index.tolist(), amplitudes.F)
    }
    assert set(found) == set(by_index)
    assert all(found[h] == pytest.approx(by_index[h]) for h in found)
    # No Friedel mates, and equivalents have one E.
    assert not {tuple(-x for x in h) for h in found} & set(found)


def test_normalised_amplitudes_have_a_mean_square_of_one_at_each_resolution(kinematic):
    f_sq, _ = kinematic("paracetamol")
    amplitudes = sphere_amplitudes(f_sq)
    order = np.argsort(amplitudes.s)
    shells = np.array_split(amplitudes.E[order] ** 2, 8)
    means = [shell.mean() for shell in shells]
    assert means[1:] == pytest.approx([1.0] * 7, abs=0.2)
    # At the lowest angles the neighbours are on one side only.
    assert means[0] == pytest.approx(1.0, abs=0.3)
    unique, epsilon = amplitudes.unique, f_sq.epsilons().data().as_double()
    assert np.mean(amplitudes.E[unique] ** 2) == pytest.approx(
        np.mean(epsilon.as_numpy_array()), abs=0.05
    )


def test_local_means_of_a_table():
    values = np.arange(200.0)
    means = local_means(values, np.linspace(0, 1, 200))
    assert means[100] == 100.0
    assert means[0] == np.arange(31).mean()
    assert means[-1] == np.arange(169, 200).mean()


def test_what_floats_and_what_is_there_make_a_larger_sphere_complete(kinematic):
    f_sq, _ = kinematic("glycine")
    some = f_sq.select(flex.bool([i % 4 > 0 for i in range(f_sq.size())]))
    amplitudes = sphere_amplitudes(some, d_min=0.9)
    both = np.concatenate([amplitudes.miller_index, amplitudes.floating])
    whole = f_sq.complete_set(d_min=0.88 * 0.9).expand_to_p1()
    assert len(both) == whole.size()
    assert {tuple(h) for h in both.tolist()} == set(whole.indices())


def test_resolution_ends_where_a_third_of_a_shell_is_missing(kinematic):
    f_sq, _ = kinematic("paracetamol", 0.8)
    d = f_sq.d_spacings().data().as_numpy_array()
    rng = np.random.default_rng(0)
    # One in five beyond 1 Å.
    kept = (d > 1.0) | (rng.random(len(d)) < 0.2)
    limit = usable_resolution(f_sq.select(flex.bool(kept)))
    # A tenth of the volume of reciprocal space is one shell.
    assert 0.97 < limit < 1.04
    assert usable_resolution(f_sq) == pytest.approx(0.8, abs=0.001)


def array_of(indices, data, group="P 1"):
    symmetry = crystal.symmetry((10, 11, 12, 90, 90, 90), group)
    points = miller.set(symmetry, flex.miller_index(indices), anomalous_flag=False)
    return miller.array(points, flex.double(data))


def test_too_few_reflections_are_counted():
    points = crystal.symmetry((4.2, 4.2, 4.2, 90, 90, 90), "P m -3 m").build_miller_set(
        d_min=1.5, anomalous_flag=False
    )
    array = miller.array(points, flex.double(points.size(), 1.0))
    half = array.expand_to_p1().size()
    with pytest.raises(
        ValueError, match=rf"{points.size()} unique .* \({half} in half"
    ):
        sphere_amplitudes(array, d_min=1.5)


def test_low_resolution_is_refused():
    with pytest.raises(ValueError, match="2 reflections to 5.50 Å"):
        sphere_amplitudes(array_of([(1, 0, 0), (0, 2, 0)], [1.0, 2.0]), d_min=1.0)


def test_unmerged_intensities_are_refused():
    array = array_of([(1, 2, 3), (1, 2, 3), (-1, -2, -3)], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="not merged"):
        sphere_amplitudes(array)


def test_negative_and_undefined_intensities(kinematic):
    f_sq, _ = kinematic("quartz")
    data = f_sq.data().deep_copy()
    data[3], data[5] = -1.0, float("nan")
    amplitudes = sphere_amplitudes(f_sq.customized_copy(data=data), d_min=0.9)
    assert amplitudes.n_unique == f_sq.size() - 1
    assert np.isfinite(amplitudes.E).all()
    assert np.count_nonzero(amplitudes.F == 0) >= 1
    # The undefined one may float.
    undefined = np.array(f_sq.indices()[5])
    of_both = [(amplitudes.floating == h).all(axis=1) for h in (undefined, -undefined)]
    assert np.any(of_both)
