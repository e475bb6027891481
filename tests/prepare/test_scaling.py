from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dials_spread.prepare.scaling import fit_scales


def imposed(measured, rng):
    """Scales, a slow walk with the angle and a B for each crystal, all known."""
    n = measured.n_crystals
    log_scale = rng.normal(0, 0.8, n)[measured.crystal]
    phase = rng.uniform(0, 6.28, n)[measured.crystal]
    log_scale += 0.15 * np.sin(np.radians(measured.angle) * 4 + phase)
    B = np.array([-1.0, 0.0, 1.0])[measured.crystal]
    return np.exp(log_scale - B * measured.d_star_sq[measured.unique] / 2)


def without_scales(measured, F):
    """Kinematic intensities on one scale with 3 % noise."""
    true = F[measured.unique] ** 2 / np.mean(F**2)
    rng = np.random.default_rng(1)
    sigma = 0.03 * true + 0.01
    return measured.with_intensity(true + sigma * rng.normal(size=len(true)), sigma)


def test_known_scales_are_recovered(small, small_F):
    exact = without_scales(small, small_F)
    truth = imposed(exact, np.random.default_rng(2))
    found = fit_scales(exact.multiplied(truth))
    rest = np.log(found.scale / truth)
    # A common B of all crystals is not determined.
    x = exact.d_star_sq[exact.unique]
    rest -= np.polyval(np.polyfit(x, rest, 1), x)
    assert np.std(np.log(truth)) > 0.5
    assert np.std(rest) < 0.02
    assert np.abs(np.diff(found.relative_B) - 1).max() < 0.15
    assert found.n_shared > 0.9 * len(small)


def test_scales_follow_a_change_of_unit(small):
    factor = np.array([1.0, 7.0, 0.01])[small.crystal]
    ratio = (
        fit_scales(small.multiplied(factor)).scale / fit_scales(small).scale / factor
    )
    # The geometric mean is set to one.
    np.testing.assert_allclose(ratio / ratio[0], 1, rtol=2e-3)


def test_crystals_that_share_nothing_are_scaled_by_their_mean(small, small_F):
    rng = np.random.default_rng(3)
    # Each unique reflection on one crystal only, once.
    owner = rng.integers(0, 3, small.n_unique)
    own = np.flatnonzero(owner[small.unique] == small.crystal)
    _, first = np.unique(small.unique[own], return_index=True)
    kept = without_scales(small, small_F).select(own[first])
    scale = np.array([1.0, 5.0, 0.2])[kept.crystal]
    found = fit_scales(kept.with_intensity(kept.intensity * scale, kept.sigma))
    assert found.n_shared == 0
    ratio = [np.median((found.scale / scale)[kept.crystal == c]) for c in range(3)]
    # To the error of a mean over some 150 reflections whose spread is 100 %.
    assert np.std(np.log(ratio)) < 0.25


def test_a_single_crystal_seen_once_keeps_its_scale(small):
    _, first = np.unique(small.unique, return_index=True)
    kept = small.select(first[small.crystal[first] == 0])
    found = fit_scales(replace(kept, dataset=kept.dataset[:1]))
    np.testing.assert_allclose(found.scale, found.scale[0])
    assert found.as_dict()["n_shared"] == 0
    assert found.scale[0] == pytest.approx(1, abs=0.3)


KINDS = {
    "as the others": lambda I, rng: I,
    "of no relation": lambda I, rng: np.median(I) * np.exp(rng.normal(0, 2, len(I))),
    "a million times too strong": lambda I, rng: 1e6 * I * np.exp(rng.normal(0, 1.5)),
    "negative": lambda I, rng: -I,
    "steep": lambda I, rng: I * np.exp(np.linspace(-6, 6, len(I))),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 3, 10, 30])
def test_a_few_rows_of_another_crystal_leave_the_scales(small, small_F, kind, n):
    """
    They change other scales by about their share of the observations.

    The root mean square of the change of ln(scale) is below half their share where they
    are like the others but for their scale, and below four times it whatever they are.
    """
    exact = without_scales(small, small_F)
    rng = np.random.default_rng(n)
    exact = exact.multiplied(imposed(exact, np.random.default_rng(2)))
    ours = np.flatnonzero(exact.crystal < 2)
    theirs = np.flatnonzero(exact.crystal == 2)
    theirs = rng.choice(theirs[np.argsort(exact.row[theirs])], n, replace=False)
    intensity, sigma = exact.intensity.copy(), exact.sigma.copy()
    intensity[theirs] = KINDS[kind](intensity[theirs], rng)
    sigma[theirs] = 0.02 * np.abs(intensity[theirs])
    changed = exact.with_intensity(intensity, sigma)
    alone = fit_scales(exact.select(ours))
    found = fit_scales(changed.select(np.r_[ours, theirs]))
    change = np.log(found.scale[: len(ours)] / alone.scale)
    # Their common factor is of no consequence.
    change -= change.mean()
    like_others = kind in ("as the others", "a million times too strong", "negative")
    assert np.std(change) < (0.5 if like_others else 4.0) * n / len(ours)
    assert np.abs(change).max() < (2.0 if like_others else 12.0) * n / len(ours)
