"""What explains the factor of each image: simulated beams, dials.scale, nothing at all."""

from __future__ import annotations

import numpy as np
import pytest

from dials_spread.observations import build_observations
from dials_spread.spread.beam.beam_shares import centred, explained_share, reliability
from dials_spread.spread.beam.beam_sources import analyse_beam, background_of_images
from dials_spread.spread.beam.image_factors import (
    fit_image_factors,
    unscaled_intensities,
)


def observe(rng, n_crystals=5, n_images=30, per_image=25, n_unique=150, spread=0.25):
    """Unscaled observations of images with known factors."""
    crystal = np.repeat(np.arange(n_crystals), n_images)
    factor = np.exp(rng.normal(0, spread, len(crystal)))
    image = np.repeat(np.arange(len(crystal)), per_image)
    unique = rng.integers(0, n_unique, len(image))
    mean = np.exp(rng.normal(5, 1, n_unique))[unique]
    sigma = 0.05 * mean + 1
    intensity = factor[image] * mean * np.exp(0.2 * rng.standard_normal(len(image)))
    intensity += sigma * rng.standard_normal(len(image))
    return crystal, factor, image, unique, intensity, sigma**2


def test_known_factors_are_found():
    rng = np.random.default_rng(1)
    crystal, factor, image, unique, intensity, variance = observe(rng)
    found = fit_image_factors(unique, image, len(crystal), intensity, variance, rng)
    truth = factor / np.exp(np.mean(np.log(factor)))
    error = np.log(found.k / truth)
    assert np.std(error) < 0.07
    # Its own idea of the error is right within a factor.
    assert np.std(error) == pytest.approx(np.median(found.relative_sigma), rel=0.6)
    assert (found.n == 25).all()
    # Halves tell how much of the variance of k is real.
    real = np.var(np.log(factor)) / np.var(np.log(found.k))
    assert reliability(found.half_a, found.half_b, crystal) == pytest.approx(
        real, abs=0.06
    )


def test_images_that_share_no_reflection_with_the_others_have_no_factor():
    """How strong they are beside these is not determined, whatever the start."""
    rng = np.random.default_rng(2)
    crystal, _, image, unique, intensity, variance = observe(rng)
    apart = image >= 140
    unique[apart] += 200
    args = (unique, image, len(crystal), intensity, variance)
    found = fit_image_factors(*args, np.random.default_rng(0))
    assert np.isfinite(found.k[:140]).all() and np.isnan(found.k[140:]).all()
    alone = [column[~apart] for column in (unique, image, intensity, variance)]
    args = (*alone[:2], 140, *alone[2:])
    without = fit_image_factors(*args, np.random.default_rng(0))
    np.testing.assert_allclose(found.k[:140], without.k, rtol=1e-6)


def test_numbers_of_images_do_not_matter():
    rng = np.random.default_rng(3)
    crystal, _, image, unique, intensity, variance = observe(rng)
    order = rng.permutation(len(image))
    moved = rng.permutation(len(crystal))
    args = (len(crystal), intensity[order], variance[order])
    one = fit_image_factors(
        unique, image, len(crystal), intensity, variance, np.random.default_rng(0)
    )
    two = fit_image_factors(
        unique[order], moved[image[order]], *args, np.random.default_rng(0)
    )
    np.testing.assert_allclose(two.k[moved], one.k, rtol=1e-3)
    three = fit_image_factors(
        unique, image, len(crystal), 9 * intensity, 81 * variance, rng
    )
    np.testing.assert_allclose(three.k, one.k, rtol=1e-3)


@pytest.mark.parametrize("n_crystals", [1, 6])
def test_the_share_that_a_beam_explains(n_crystals):
    """log k = log beam + something else of equal variance: half of it, in the mean."""
    shares, inside = [], 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        crystal = np.repeat(np.arange(n_crystals), 200 // n_crystals)
        n = len(crystal)
        beam, other = rng.normal(0, 0.2, (2, n))
        offset = rng.normal(0, 1, n_crystals)[crystal]
        found = explained_share(
            np.exp(beam + other + offset),
            np.full(n, 0.01),
            7 * np.exp(beam + rng.normal(0, 1, n_crystals)[crystal]),
            crystal,
            np.exp(beam),
            rng,
        )
        shares.append(found.r_squared)
        assert found.with_dials_scale == pytest.approx(1)
        assert np.isfinite(found.low) == (n_crystals > 1)
        inside += found.low <= 0.5 <= found.high
    assert inside >= (36 if n_crystals > 1 else 0)
    assert np.mean(shares) == pytest.approx(0.5, abs=0.03)
    assert found.validation == ("crystals" if n_crystals > 1 else "blocks of images")


def test_a_beam_that_has_nothing_to_do_with_it_explains_nothing():
    shares = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        crystal = np.repeat(np.arange(5), 30)
        k, beam = np.exp(rng.normal(0, 0.2, (2, 150)))
        args = (k, np.full(150, 0.01), beam, crystal, None, rng)
        shares.append(explained_share(*args).r_squared)
    # Cross-validated: not above zero in the mean, as the plain R² would be.
    assert np.mean(shares) < 0.005
    assert np.mean(shares) > -0.05


def drift(rng, n=60):
    """A random walk: neighbouring images are alike, as they are in a real scan."""
    return np.exp(0.05 * np.cumsum(rng.standard_normal(n)))


def of_one_crystal(k, indicator, rng):
    n = len(k)
    sigma, crystal = np.full(n, 0.05), np.zeros(n, dtype=int)
    return explained_share(k, sigma, indicator, crystal, None, rng)


def test_one_crystal_has_no_interval_but_a_p_value():
    """Independent drifts, which are alike in half of all cases, are seldom claimed."""
    rng = np.random.default_rng(8)
    low = 0
    for _ in range(60):
        found = of_one_crystal(drift(rng), drift(rng), rng)
        assert np.isnan(found.low)
        low += found.r_squared > 0.02 and found.p_value <= 0.05
    # Random walks are the worst case; without the test it were thirty.
    assert low <= 6


def test_a_beam_of_one_crystal_is_found():
    rng = np.random.default_rng(9)
    found = []
    for _ in range(20):
        beam = drift(rng) * np.exp(0.1 * rng.standard_normal(60))
        k = beam * np.exp(0.05 * rng.standard_normal(60))
        found.append(of_one_crystal(k, beam, rng))
    assert all(f.r_squared > 0.3 for f in found)
    assert sum(f.p_value <= 0.05 for f in found) >= 19


def test_what_cannot_be_said_has_a_reason():
    rng = np.random.default_rng(0)
    few = np.ones(4)
    found = explained_share(few, few * 0.01, few, np.zeros(4, int), None, rng)
    assert "too few" in found.reason
    none = explained_share(few, few * 0.01, 0 * few, np.zeros(4, int), None, rng)
    assert none.reason == "It is not positive on any image."
    k = np.exp(rng.normal(size=20))
    same = explained_share(k, 0.01 * k, np.ones(20), np.zeros(20, int), None, rng)
    assert same.reason == "It is the same on all images."
    assert np.isnan(same.r_squared)


def test_the_background_is_compared_at_equal_resolution():
    """Two images, one with low-order spots only: the same beam all the same."""
    rng = np.random.default_rng(0)
    d = np.concatenate([rng.uniform(2, 6, 2000), rng.uniform(0.8, 6, 2000)])
    image = np.repeat([0, 1], 2000)
    background = 10 * d**2 * np.where(image == 0, 1.0, 1.3)
    plain = background[image == 1].mean() / background[image == 0].mean()
    assert plain < 1.2
    found = background_of_images(background, d, image, 2)
    # Most low-order spots are on image 0, most others on 1: nearly the ratio.
    both = d > 2
    found = background_of_images(background[both], d[both], image[both], 2)
    assert found[1] / found[0] == pytest.approx(1.3, rel=0.02)


def test_factors_of_measured_images_are_those_of_dials_scale(read_measured):
    """The smooth scale of dials.scale and factors that know nothing of it agree."""
    experiments, tables = read_measured("l_cysteine/scaled_20_25")
    o = build_observations([*experiments], tables)
    raw, variance = unscaled_intensities(o, tables)
    assert np.isfinite(raw).all() and (variance > 0).all()
    strong = raw > 5 * np.sqrt(variance)
    assert np.std(np.log(o.intensity[strong] / raw[strong])) > 0.05
    found = analyse_beam(o, tables, None, np.random.default_rng(0))
    share = found.explained["dials_scale"]
    assert share.r_squared > 0.6
    assert share.slope == pytest.approx(1, abs=0.3)
    assert share.r_squared < found.ceiling + 0.05
    assert found.explained["background"].r_squared < share.r_squared
    assert found.reasons["annulus"] == "Raw images were not asked for."


def test_nothing_to_compare_is_no_error(read_measured):
    experiments, tables = read_measured("quartz/integrated")
    one = [t.select(t["miller_index"] == t["miller_index"][5]) for t in tables]
    o = build_observations([*experiments], [t[:1] for t in one], partiality_cutoff=0.0)
    found = analyse_beam(o, [t[:1] for t in one], None, np.random.default_rng(0))
    assert np.isnan(found.ceiling)
    assert all(e.reason for e in found.explained.values())


def test_centred_by_hand():
    x = np.array([1.0, 3.0, 10.0, np.nan])
    np.testing.assert_allclose(centred(x, np.array([0, 0, 1, 1])), [-1, 1, 0, np.nan])
