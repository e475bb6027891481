"""
A correction of electron intensities for multiple scattering, learnt from other crystals.

What is known of an observation without the structure is turned into numbers that mean
the same in every crystal: normalised amplitudes, the strength of the interaction, and
how strongly the waves excited with a reflection couple to it.

Modules, in the order in which they work:
    geometry, lorentz, measured: observations with the beam's direction in the crystal
        and the Lorentz factor applied once
    scaling, merging: crystals on one scale, and what is merged
    normalisation, interaction: unitary amplitudes, potentials in Å⁻²
    lattice, coupling, neighbours: three beams at a time
    crystal_features, reflection_features, published, registry, features: the numbers,
        each with its unit and reason
    weights: estimates without any learning
    two_models, way_back: the two models, and the unmerged table they lead to
"""
