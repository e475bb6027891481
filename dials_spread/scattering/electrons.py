"""The kinematics of fast electrons."""

from __future__ import annotations

import numpy as np

# Planck constant / (electron mass x speed of light) [Å] (CODATA 2018).
COMPTON_WAVELENGTH = 0.0242631023867

# Electron mass x speed of light squared [eV] (CODATA 2018).
REST_ENERGY = 510998.950


def relativistic_mass_ratio(wavelength: float) -> float:
    """
    The mass of a fast electron over its rest mass.

    Args:
        wavelength: [Å]. From the momentum h/λ: γ² = 1 + (h / (m c λ))².
    """
    return float(np.sqrt(1.0 + (COMPTON_WAVELENGTH / wavelength) ** 2))


def wavelength_of(energy: float) -> float:
    """
    The wavelength of electrons [Å].

    Args:
        energy: Kinetic energy [eV], which is the voltage that accelerated them.
            λ = h / (m c sqrt(ε (ε + 2))), ε being this over the rest energy.
    """
    if not energy > 0:
        raise ValueError(f"Electrons need a positive energy, not {energy} eV.")
    epsilon = energy / REST_ENERGY
    return float(COMPTON_WAVELENGTH / np.sqrt(epsilon * (epsilon + 2.0)))


def energy_of(wavelength: float) -> float:
    """The kinetic energy [eV] of electrons of a wavelength [Å]."""
    return (relativistic_mass_ratio(wavelength) - 1.0) * REST_ENERGY
