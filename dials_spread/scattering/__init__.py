"""
The physics of electron scattering: from form factors to rocking curves.

Modules:
    abtem_bridge: the same crystal in abTEM
    beams: which beams interact, and how the rocking curves are sampled
    bloch: N-beam Bloch waves for one orientation
    charges: charged atoms
    chebyshev: propagation of the one wave that is needed, for many orientations at once
    dynamical: dynamical intensities of the reflections of virtual experiments
    eigenvalue_bounds: intervals in which the eigenvalues of matrices are
    electrons: the kinematics of fast electrons
    form_factors: scattering of fast electrons by atoms and ions
    memory: how large a dynamical calculation would be, told before it is started
    mosaic: mosaicity in the dynamical wave
    potential: the crystal potential as fast electrons meet it
    rocking: dynamical intensities integrated over the rotation, for one crystal
    scans: the rotation of a crystal in the beam, and the angles at which it is
        simulated
    structure_factors: kinematic electron structure factors, of neutral atoms and of
        ions
    thickness_model: how thick crystals are, each other and within themselves
"""

from __future__ import annotations
