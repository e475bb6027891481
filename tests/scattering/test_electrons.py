from __future__ import annotations

import pytest

from dials_spread.scattering.electrons import (
    energy_of,
    relativistic_mass_ratio,
    wavelength_of,
)


@pytest.mark.parametrize(
    "voltage,wavelength",
    # Williams & Carter (2009), Transmission Electron Microscopy, table 1.2, with the
    # digits of Reimer & Kohl (2008), table 2.2.
    [(80e3, 0.04176), (100e3, 0.03701), (120e3, 0.03349), (200e3, 0.02508), (300e3, 0.01969)],
)  # fmt: skip
def test_published_wavelengths(voltage, wavelength):
    assert wavelength_of(voltage) == pytest.approx(wavelength, abs=6e-6)
    assert energy_of(wavelength_of(voltage)) == pytest.approx(voltage, rel=1e-9)


def test_slow_electrons_are_not_relativistic():
    """λ = 12.264 Å / sqrt(V) in the limit."""
    assert wavelength_of(1.0) == pytest.approx(12.2643, abs=1e-4)
    assert relativistic_mass_ratio(wavelength_of(1.0)) == pytest.approx(1, abs=1e-5)


def test_energy_must_be_positive():
    with pytest.raises(ValueError, match="not 0 eV"):
        wavelength_of(0)
