"""Reflections held out: the same everywhere, and R1 of what was not fitted."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx import sgtbx

from dials_spread.refinement.held_out import held_out_r1, held_out_set
from dials_spread.refinement.refining import RefinementSettings, refine


def test_sets_are_disjoint_and_of_the_size_wanted(glycine, intensities):
    f_sq = intensities(glycine, 0.6)
    sets = np.array([held_out_set(f_sq, fraction=0.1, number=i) for i in range(10)])
    assert sets.sum(axis=0).tolist() == [1] * f_sq.size()
    expected = 0.1 * f_sq.size()
    assert np.abs(sets.sum(axis=1) - expected).max() < 4 * np.sqrt(expected)


def test_equivalents_go_together(glycine, intensities):
    f_sq = intensities(glycine, 0.8)
    mates = f_sq.customized_copy(
        indices=f_sq.change_basis(sgtbx.change_of_basis_op("-x,y,-z")).indices()
    )
    assert list(mates.indices()) != list(f_sq.indices())
    assert np.array_equal(held_out_set(f_sq), held_out_set(mates))


@pytest.mark.slow
def test_r1_of_what_was_not_fitted_is_higher(glycine, intensities):
    rng = np.random.default_rng(3)
    f_sq = intensities(glycine, 0.8, relative=0.2, rng=rng)
    settings = RefinementSettings(start_shift=0.0)
    noisy = held_out_r1(glycine, f_sq, n_sets=3, settings=settings, rng=rng)
    assert noisy.n_converged == 3 and len(noisy.values) == 3
    assert noisy.mean == pytest.approx(np.mean(noisy.values))
    assert noisy.spread == pytest.approx(np.std(noisy.values, ddof=1))
    assert noisy.mean > np.mean(noisy.fitted)
    whole = refine(glycine, f_sq, settings=settings, rng=rng)
    quick = held_out_r1(glycine, f_sq, n_sets=3, start=whole, rng=rng)
    assert quick.n == noisy.n
    assert quick.values == pytest.approx(noisy.values, abs=0.01)
    exact = held_out_r1(
        glycine, intensities(glycine, 0.8), n_sets=2, settings=settings, rng=rng
    )
    assert exact.mean < 1e-3
    assert exact.as_dict()["n"] == list(exact.n)
