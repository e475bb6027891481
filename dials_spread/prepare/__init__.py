"""
Observations as features and thickness need them: directions, Lorentz factor, one scale,
normalised amplitudes, and how beams couple.

Modules:
    coupling: how strongly other excited beams feed a reflection
    crystal_groups: observations cut into groups of crystals, which workers may keep
    damage_groups: what the search for damage asks of a group of crystals
    decay: damage along the scan, and scales without it
    extinctions: reflections near zero that a screw axis or glide plane would extinguish
    geometry: where the beam ran in the crystal when a reflection was excited, and the
        Lorentz factor, applied once
    gross: gross outliers of integrated data
    lattice: amplitudes and potentials at all points of the reciprocal lattice
    measurement: how data were measured, and the Lorentz factor of precession
    normalisation: normalised amplitudes, and how strongly the crystal scatters in
        absolute units, without its structure
    outsiders: crystals that are not shown to agree with the others
    prepared: scaled observations, merged and normalised
    resolution: to which resolution there is signal
    scale_groups: what scaling asks of a group of crystals
    scaling: crystals on one scale
    suitability: what a correction must not be applied to
    weights: estimates without any learning
"""

from __future__ import annotations
