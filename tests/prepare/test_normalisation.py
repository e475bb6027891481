from __future__ import annotations

import numpy as np
import pytest

from dials_spread.prepare.normalisation import (
    merged_amplitudes,
    normalise,
    observed_amplitudes,
)
from dials_spread.scattering.potential import indices_within
from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.simulation.structures import random_structure


def squared_amplitudes(space_group, seed):
    """|F|², d*², ε of a random structure in P1 or P-1, half of reciprocal space."""
    structure = random_structure(
        np.random.default_rng(seed),
        (9, 10, 11, 82, 95, 101),
        space_group,
        composition={"C": 1.0},
        hydrogen_ratio=0.0,
        u_iso=(0.03, 0.03),
    )
    hkl = indices_within(structure.unit_cell(), 1 / 0.9)
    hkl = hkl[len(hkl) // 2 + 1 :]
    rows = np.array(structure.unit_cell().fractionalization_matrix()).reshape(3, 3)
    return (
        np.abs(structure_factors(structure, hkl)) ** 2,
        np.sum((hkl @ rows) ** 2, axis=1),
        np.ones(len(hkl)),
    )


@pytest.mark.parametrize(
    "space_group, fourth, mean", [("P 1", 2, 0.886), ("P -1", 3, 0.798)]
)
def test_random_structures_follow_wilson(space_group, fourth, mean):
    moments = []
    for seed in range(4):
        I, d_star_sq, epsilon = squared_amplitudes(space_group, seed)
        E = merged_amplitudes(I, normalise(I, d_star_sq, epsilon).N)
        moments.append((np.mean(E**2), np.mean(E**4), np.mean(E)))
    second, found, first = np.mean(moments, axis=0)
    assert second == pytest.approx(1, abs=1e-9)
    # Some 2,000 reflections each, and atoms that keep their distance.
    assert found == pytest.approx(fourth, rel=0.1)
    assert first == pytest.approx(mean, abs=0.02)


def test_the_mean_is_followed_and_its_unit_drops_out():
    rng = np.random.default_rng(5)
    d_star_sq = np.sort(rng.uniform(0.02, 1.4, 3000))
    truth = 40 * np.exp(-3 * d_star_sq)
    epsilon = rng.choice([1.0, 2.0], 3000)
    I = truth * epsilon * rng.exponential(size=3000)
    found = normalise(I, d_star_sq, epsilon)
    assert np.std(np.log(found.sigma_s / truth)) < 0.12
    np.testing.assert_allclose(found.N, epsilon * found.sigma_s)
    other = normalise(1e-6 * I, d_star_sq, epsilon)
    np.testing.assert_allclose(other.N, 1e-6 * found.N)
    order = rng.permutation(3000)
    shuffled = normalise(I[order], d_star_sq[order], epsilon[order])
    np.testing.assert_allclose(shuffled.N, found.N[order])


def test_few_or_negative_intensities_do_not_break_it():
    found = normalise(np.array([1.0, 2.0]), np.array([0.1, 0.2]), np.ones(2))
    assert np.isfinite(found.N).all() and found.N.min() > 0
    I = np.concatenate([np.ones(80), -0.1 * np.ones(80)])
    found = normalise(I, np.linspace(0.1, 1, 160), np.ones(160))
    assert np.isfinite(found.N).all() and found.N.min() > 0
    with pytest.raises(ValueError, match="The mean of 2 merged intensities is not"):
        normalise(np.array([1.0, -2.0]), np.array([0.1, 0.2]), np.ones(2))


@pytest.mark.parametrize("level", [-0.02, -0.003, 0.0])
@pytest.mark.parametrize("where", ["end", "middle"])
def test_shells_without_signal_have_no_say(where, level):
    """Shells of a mean of nought or below leave the others' normalisation what it was."""
    rng = np.random.default_rng(6)
    d_star_sq = np.sort(rng.uniform(0.02, 1.4, 3500))
    truth = 40 * np.exp(-3 * d_star_sq)
    I = truth * rng.exponential(size=3500)
    noise = np.arange(3500) >= 2800
    if where == "middle":  # rings of ice, masked in part
        noise = (np.arange(3500) // 70) % 10 == 5
    I[noise] = I.mean() * (level + 0.001 * rng.normal(size=noise.sum()))
    found = normalise(I, d_star_sq, np.ones(3500))
    signal = ~noise
    alone = normalise(I[signal], d_star_sq[signal], np.ones(signal.sum()))
    ratio = found.N[signal] / alone.N
    # Shells begin elsewhere, but for that no other is expected.
    assert abs(np.log(ratio.mean())) < 0.03
    assert np.std(np.log(ratio)) < 0.1
    assert np.abs(np.log(ratio)).max() < 0.6
    assert np.mean(I[signal] / found.N[signal]) == pytest.approx(1, abs=0.03)


def test_amplitudes_of_observations_keep_their_sign():
    E = observed_amplitudes(np.array([8.0, -2.0, 0.0]), np.array([2.0, 2.0, 2.0]))
    np.testing.assert_allclose(E, [2, -1, 0])
    np.testing.assert_allclose(merged_amplitudes(np.array([8.0, -2.0]), 2.0), [2, 0])


def test_noise_beyond_the_signal_leaves_numbers():
    # The last shell has a mean just above what counts as signal, by chance; beyond its
    # middle next to nothing is expected, and noise there would decide the mean quotient.
    d_star_sq = np.linspace(0.6, 3.0, 180)
    I = np.concatenate([np.full(60, 15.0), np.full(60, 2.0), np.full(60, 0.9)])
    I[120:] *= np.where(np.arange(60) < 31, 1.0, -1.0)
    found = normalise(I, d_star_sq, np.ones(180))
    assert np.isfinite(found.N).all() and (found.N > 0).all()
    assert np.mean(I / found.N) < 0  # as it would not be where it is the scale
    assert I.sum() / found.N.sum() == pytest.approx(1.0)
