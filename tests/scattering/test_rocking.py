from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import j0

from dials_spread.scattering.rocking import (
    BeamSelection,
    RotationScan,
    integrated_intensities,
    rotation_step,
    rows_of,
)

K = 1 / 0.02508
HKL = np.array([[0, 5, 0]])
BEAMS = np.array([[0, 0, 0], [0, 5, 0]])


def two_beam_crystal(U):
    """A 10 Å cubic cell with one reflection, which crosses the sphere once."""
    table = np.zeros((1, 21, 1), dtype=complex)
    table[0, 15, 0], table[0, 5, 0] = U, np.conj(U)
    scan = RotationScan(
        A=np.eye(3) / 10,
        s0=np.array([0, 0, -K]),
        axis=np.array([1.0, 0.0, 0.0]),
        limits=(np.deg2rad(-6), np.deg2rad(6)),
    )
    # The Bragg angle: 2 K g sin(phi) = g², the beam along -z and g turning towards +z.
    phi = np.array([np.arcsin(0.5 / (2 * K))])
    return table, scan, phi


@pytest.mark.parametrize("strength", [0.1, 1.0, 2.0, 4.0])
def test_blackman(strength):
    """
    Two beams, integrated: |U|² (1 / 2A) ∫_0^2A J0(x) dx, A = π |U| t / K.

    Blackman (1939), Proc. R. Soc. A 173, 68.
    """
    thickness = 500.0
    U = strength * K / (np.pi * thickness) * np.exp(0.4j)
    table, scan, phi = two_beam_crystal(U)
    wide = BeamSelection(s_max=0.04, s_window=0.04)
    found = integrated_intensities(
        table,
        BEAMS,
        scan,
        HKL,
        phi,
        np.array([thickness]),
        wide,
        rotation_step(2.0, thickness),
    )[0]
    factor = quad(j0, 0, 2 * strength)[0] / (2 * strength)
    assert found / abs(U) ** 2 == pytest.approx(factor, rel=0.02, abs=0.005)


def test_halving_the_step_changes_nothing():
    table, scan, phi = two_beam_crystal(0.05)
    step = rotation_step(2.0, 1000.0)
    results = [
        integrated_intensities(
            table, BEAMS, scan, HKL, phi, np.array([1000.0]), BeamSelection(), size
        )[0]
        for size in (step, step / 2, step / 4)
    ]
    assert results[0] == pytest.approx(results[2], rel=0.01)
    assert results[1] == pytest.approx(results[2], rel=0.01)


def test_both_methods_give_the_same():
    table, scan, phi = two_beam_crystal(0.05)
    results = [
        integrated_intensities(
            table,
            BEAMS,
            scan,
            HKL,
            phi,
            np.array([300.0, 500.0]),
            BeamSelection(method=method, absorption=absorption, precision="double"),
            0.001,
            slab=True,
        )[0]
        for absorption in (0.0, 0.03)
        for method in ("chebyshev", "diagonalisation")
    ]
    assert results[0] == pytest.approx(results[1], rel=1e-9)
    # Absorption is exact in the one method and of first order in the other.
    assert results[2] == pytest.approx(results[3], rel=3e-3)
    assert abs(results[2] / results[0] - 1) > 1e-4


def test_reflection_never_met_is_not_a_number():
    table, scan, _ = two_beam_crystal(0.05)
    elsewhere = RotationScan(scan.A, scan.s0, scan.axis, (0.5, 0.55))
    result = integrated_intensities(
        table,
        BEAMS,
        elsewhere,
        HKL,
        np.array([0.5]),
        np.array([300.0]),
        BeamSelection(),
        0.001,
    )
    assert np.isnan(result[0])


def test_rotation_step():
    assert rotation_step(0.9, 1000.0) == pytest.approx(0.00081)
    assert rotation_step(0.9, 100.0) == 0.0022
    assert rotation_step(0.9, 9000.0) == 0.0003


def test_rows_of_unknown_index():
    with pytest.raises(ValueError, match=r"\(1, 2, 3\)"):
        rows_of(BEAMS, np.array([[1, 2, 3]]))


@pytest.mark.parametrize(
    "wrong,message",
    [
        ({"s_window": 0.02}, "s_window=0.02, s_max=0.012"),
        ({"absorption": -1.0}, "absorption=-1.0"),
        ({"method": "magic"}, "magic"),
    ],
)
def test_bad_selection(wrong, message):
    with pytest.raises(ValueError, match=message):
        BeamSelection(**wrong)
