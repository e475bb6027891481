"""
Observations as features and thickness need them: directions, Lorentz factor, one scale,
normalised amplitudes, and how beams couple.

Modules:
    coupling: how strongly other excited beams feed a reflection
    geometry: where the beam ran in the crystal when a reflection was excited
    interaction: how strongly the crystal scatters, in absolute units, without its
        structure
    lattice: amplitudes and potentials at all points of the reciprocal lattice
    lorentz: the Lorentz factor, applied once and only once
    measured: what was measured of one compound, as arrays, with the Lorentz factor
        applied once
    normalisation: normalised amplitudes
    prepared: scaled, merged and normalised
    repeats: one passage through the Ewald sphere, listed several times
    scaling: crystals on one scale, for features only
    weights: estimates without any learning
"""

from __future__ import annotations
