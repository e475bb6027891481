"""Resampled intensities: the linear step against refinements anew."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx.array_family import flex

from dials_spread.refinement import RefinementSettings, refine, refine_resampled

SETTINGS = RefinementSettings(start_shift=0.0, weights=(0.1, 0.0))


def samples_of(f_sq, rng, n):
    """Intensities with further noise; one sample lacks every seventh reflection."""
    I, sigma = (np.array(x) for x in (f_sq.data(), f_sq.sigmas()))
    found = I + np.hypot(sigma, 0.05 * I) * rng.normal(size=(n, len(I)))
    found[0] = I
    found[-1, ::7] = np.nan
    return found, sigma, I > 2 * sigma


@pytest.mark.parametrize(
    "name, d_min",
    [
        ("glycine", 0.9),
        pytest.param("polar", 0.9, marks=pytest.mark.slow),
    ],
)
def test_it_is_what_refining_anew_gives(name, d_min, request, intensities):
    structure, rng = request.getfixturevalue(name), np.random.default_rng(2)
    f_sq = intensities(structure, d_min, relative=0.1, rng=rng)
    whole = refine(structure, f_sq, settings=SETTINGS, rng=rng)
    samples, sigma, strong = samples_of(f_sq, rng, 4)
    quick = refine_resampled(whole, f_sq, samples, sigma, strong)
    # The data themselves leave everything as it is.
    assert quick.r1_all[0] == pytest.approx(whole.r1_all, abs=2e-4)
    assert quick.r1_strong[0] == pytest.approx(whole.r1_strong, abs=2e-4)
    assert quick.mean_shift[0] == pytest.approx(whole.mean_shift, rel=0.02)
    for i in (1, 2, 3):
        there = np.isfinite(samples[i])
        own = f_sq.select(flex.bool(there)).customized_copy(
            data=flex.double(samples[i][there]), sigmas=flex.double(sigma[there])
        )
        anew = refine(structure, own, strong=strong[there], settings=SETTINGS, rng=rng)
        assert quick.r1_all[i] == pytest.approx(anew.r1_all, abs=1e-3)
        assert quick.r1_strong[i] == pytest.approx(anew.r1_strong, abs=1e-3)
        assert quick.mean_shift[i] == pytest.approx(anew.mean_shift, rel=0.1)


def test_too_few_reflections_give_nothing(glycine, intensities):
    rng = np.random.default_rng(2)
    f_sq = intensities(glycine, 0.9, relative=0.1, rng=rng)
    whole = refine(glycine, f_sq, settings=SETTINGS, rng=rng)
    samples, sigma, strong = samples_of(f_sq, rng, 2)
    samples[1, 15:] = np.nan
    found = refine_resampled(whole, f_sq, samples, sigma, strong)
    assert np.isnan([found.r1_all[1], found.r1_strong[1], found.mean_shift[1]]).all()
    assert np.isfinite(found.r1_all[0])
