"""Waves in slices against diagonalisation, and derivatives against differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import expm

from dials_spread.scattering.bloch import bloch_amplitudes, kinematic_intensity
from dials_spread.with_structure.local_waves import (
    derivative,
    exit_weights,
    for_slices,
    kinematic_part,
    propagate,
    slice_operator,
)

K = 40.0
STEP, SLICES = 5.0, 80


@pytest.fixture(scope="module")
def crystal():
    """Six beams at three angles; the couplings are those of a light organic crystal."""
    rng = np.random.default_rng(3)
    U = rng.normal(0, 0.01, (6, 6)) + 1j * rng.normal(0, 0.01, (6, 6))
    U = U + U.conj().T
    np.fill_diagonal(U, 0)
    s = rng.uniform(-0.01, 0.01, (3, 6))
    s[:, 0] = 0
    return U, s


def waves(U, s):
    B = slice_operator(U.astype(np.complex64), np.pi * STEP / K)
    P = np.exp(2j * np.pi * STEP * s).astype(np.complex64)
    return B, P, propagated(B, P, SLICES)


def propagated(B, P, n_slices):
    wave = np.empty((n_slices + 1, *P.shape), np.complex64)
    propagate(B, P, wave)
    return wave


def by_diagonalisation(U, s, thickness):
    psi = [bloch_amplitudes(U, row, K, np.array([thickness]))[0] for row in s]
    return np.abs(np.array(psi)) ** 2


def test_the_slice_operator_is_the_exponential(crystal):
    U, _ = crystal
    factor = np.pi * 20.0 / K
    expected = expm(1j * factor * U)
    np.testing.assert_allclose(
        slice_operator(U.astype(np.complex64), factor), expected, atol=1e-6
    )


def test_intensities_are_those_of_diagonalisation(crystal):
    U, s = crystal
    _, _, wave = waves(U, s)
    for q in (20, 80):
        found = np.abs(wave[q]) ** 2
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
        expected = by_diagonalisation(U, s, q * STEP)
        np.testing.assert_allclose(found, expected, atol=3e-3)


def test_a_thin_crystal_scatters_once(crystal):
    U, s = crystal
    single = kinematic_part(s[:, 1], 0.05, 700, K)
    expected = sum(kinematic_intensity(x, 35.0, K) for x in s[:, 1])
    assert single[700] == pytest.approx(expected, rel=1e-5)
    _, _, wave = waves(1e-3 * U, s)
    found = np.sum(np.abs(wave[10, :, 1]) ** 2) / np.abs(1e-3 * U[1, 0]) ** 2
    # Thick slices or thin ones: the same sum.
    assert found == pytest.approx(kinematic_part(s[:, 1], STEP, 10, K)[10], rel=1e-3)


def test_slices_may_be_thicker_for_it():
    """Integrated over a rocking curve, six other beams being far from the sphere or near it."""
    rng, off = np.random.default_rng(5), []
    for _ in range(20):
        U = rng.normal(0, 0.005, (8, 8)) + 1j * rng.normal(0, 0.005, (8, 8))
        U = U + U.conj().T
        np.fill_diagonal(U, 0)
        s = np.zeros((41, 8))
        s[:, 1] = np.linspace(-0.006, 0.006, 41)
        s[:, 2:] = rng.uniform(-0.01, 0.01, 6) + s[:, 1:2] * rng.uniform(-1, 1, 6)
        expected = by_diagonalisation(U, s, 700.0)[:, 1].sum()
        expected /= kinematic_part(s[:, 1], 0.1, 7000, K)[-1]
        for step, made_up in ((25.0, False), (25.0, True), (35.0, False), (35.0, True)):
            scale = for_slices(s[20], step) if made_up else np.float32(1)
            B = slice_operator((U * scale).astype(np.complex64), np.pi * step / K)
            P = np.exp(2j * np.pi * step * s).astype(np.complex64)
            n = round(700 / step)
            found = np.sum(np.abs(propagated(B, P, n)[-1, :, 1]) ** 2)
            found /= kinematic_part(s[:, 1], step, n, K)[-1]
            off.append(found / expected - 1)
    thin, thin_made_up, thick, thick_made_up = np.sqrt(
        np.mean(np.reshape(off, (-1, 4)) ** 2, axis=0)
    )
    assert thin_made_up < 0.6 * thin
    assert thick_made_up < 0.6 * thick


@pytest.mark.parametrize(("j", "l"), [(1, 0), (2, 1), (4, 3)])
def test_the_derivative_is_the_difference(crystal, j, l):
    """Of the sum of intensities of beam 1, some angles and thicknesses counting more."""
    U, s = crystal
    rng = np.random.default_rng(4)
    weight = rng.random((3, SLICES + 1))
    weight[:, :40] = 0
    B, P, wave = waves(U, s)
    given = (weight.astype(np.float32), 1, np.pi * STEP / K)
    gamma = derivative(B, P, wave, *given, np.empty_like(wave[1:]))
    h = 1e-3
    for direction in (1.0, 1j):
        total = []
        for sign in (1, -1):
            moved = U.copy()
            moved[j, l] += sign * h * direction
            moved[l, j] += sign * h * np.conj(direction)
            # Diagonalisation knows nothing of slices.
            intensity = [
                by_diagonalisation(moved, s, q * STEP)[:, 1]
                for q in range(40, SLICES + 1)
            ]
            total.append(np.sum(weight[:, 40:] * np.array(intensity).T))
        expected = (total[0] - total[1]) / (2 * h)
        found = gamma[j, l] * direction + gamma[l, j] * np.conj(direction)
        scale = np.abs(gamma).max()
        assert found.real == pytest.approx(expected, abs=0.02 * scale)


def test_exits_share_a_crystal_by_area():
    # From 12 to 28 Å in slices of 10 Å: by hand, from the areas under the hat functions.
    found = exit_weights(12.0, 28.0, 10.0, 4)
    assert found.sum() == pytest.approx(1)
    np.testing.assert_allclose(found, [0, 0.32 / 1.6, 0.96 / 1.6, 0.32 / 1.6, 0])
    assert found @ (10.0 * np.arange(5)) == pytest.approx(20.0)
    np.testing.assert_allclose(exit_weights(25.0, 25.0, 10.0, 4), [0, 0, 0.5, 0.5, 0])
