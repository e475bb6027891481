"""Amplitudes of data and structures whose errors are known."""

from __future__ import annotations

import numpy as np
import pytest

from dials_spread.with_structure.believed_amplitudes import believed_amplitudes

EXPECTED = np.repeat([3.0, 2.0, 1.0], 300)


def drawn(variance, sigma, stated=1.0, scale=1.0, centric=False, seed=1):
    """True amplitudes, and those of data and structure with errors; all within EXPECTED."""
    rng = np.random.default_rng(seed)
    n = len(EXPECTED)

    def normal(size):
        real = rng.standard_normal(n)
        both = real if centric else (real + 1j * rng.standard_normal(n)) / np.sqrt(2)
        return size * both

    # Variances of a structure and of what it lacks add up to 1.
    structure = normal(np.sqrt(1 - variance))
    true = np.abs(structure + normal(np.sqrt(variance)))
    each = sigma * rng.choice([0.5, 1.0, 2.0], n)
    data = np.abs(true + each * rng.standard_normal(n))
    found = believed_amplitudes(
        data * EXPECTED, each * EXPECTED / stated, scale * np.abs(structure) * EXPECTED,
        EXPECTED, np.full(n, centric),
    )  # fmt: skip
    return true, data, np.abs(structure), found


def off(F, true):
    return np.sqrt(np.mean((F - true) ** 2))


@pytest.mark.parametrize("centric", [False, True])
@pytest.mark.parametrize("variance, least, most", [(0.01, 0.6, 1), (0.9, 0, 0.2)])
def test_believed_by_their_errors(variance, least, most, centric):
    """Structures that are nearly right, and that lack nearly all; data 15 % off."""
    true, data, structure, found = drawn(variance, 0.15, centric=centric)
    F = found.F / EXPECTED
    assert least < found.mean_share < most
    better = min(off(data, true), off(structure, true))
    assert off(F, true) < 1.02 * better


def test_both_together_are_better_than_either():
    true, data, structure, found = drawn(0.06, 0.2)
    both = off(found.F / EXPECTED, true)
    assert both < 0.9 * min(off(data, true), off(structure, true))


@pytest.mark.parametrize("scale", [0.7, 1.3])
def test_scale_and_what_lacks_are_found(scale):
    """Also where the structure is on another scale than the data."""
    true, _, _, found = drawn(0.1, 0.1, scale=scale)
    assert [s.n for s in found.shells] == [100] * 9
    D = np.mean([s.D for s in found.shells])
    assert D == pytest.approx(1 / scale, rel=0.08)
    variance = np.mean([s.variance for s in found.shells])
    assert variance == pytest.approx(0.1, rel=0.4)


@pytest.mark.parametrize("stated", [0.5, 1.0, 2.0])
def test_errors_that_are_stated_wrongly_are_set_right(stated):
    """stated: by how much errors are stated too small."""
    true, data, structure, found = drawn(0.03, 0.2, stated)
    assert found.stretch / stated == pytest.approx(1, abs=0.45)
    best = min(off(data, true), off(structure, true))
    assert off(found.F / EXPECTED, true) < best


def test_a_wrong_structure_decides_nothing():
    """Amplitudes of another structure: those of the data stay."""
    rng = np.random.default_rng(4)
    n = len(EXPECTED)
    true, other = (
        np.abs(rng.standard_normal(n) + 1j * rng.standard_normal(n)) / np.sqrt(2)
        for _ in range(2)
    )
    sigma = np.full(n, 0.15)
    data = np.abs(true + sigma * rng.standard_normal(n))
    found = believed_amplitudes(
        data * EXPECTED, sigma * EXPECTED, other * EXPECTED, EXPECTED, np.zeros(n, bool)
    )  # fmt: skip
    assert found.mean_share < 0.1
    assert off(found.F / EXPECTED, true) < 1.05 * off(data, true)
    told = found.as_dict()
    assert told["share_of_structure"] == found.mean_share
    assert len(told["shells"]) == len(found.shells)


def test_a_few_reflections_are_enough():
    """Of fewer than a shell wants; with none calculated, and data of no error."""
    F = np.array([1.0, 2.0, 0.5])
    found = believed_amplitudes(
        F, np.zeros(3), np.zeros(3), np.ones(3), np.zeros(3, bool)
    )  # fmt: skip
    np.testing.assert_allclose(found.F, F, rtol=0.02)
    assert np.all(found.share >= 0) and np.all(found.share <= 1)
