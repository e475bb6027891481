"""
Mosaicity in the dynamical wave: an incoherent average over orientations.

A mosaic crystal is taken as blocks, each perfect and as thick as the crystal, whose
orientations scatter about the mean one; their intensities add. Of the three ways to turn
a block, that about the scan axis only moves its rocking curve along the scan and that
about the beam only moves the spot on the detector: neither changes an integrated
intensity, nor does any of them change the kinematic one. The third turns the beam, seen
from the crystal, out of the plane of the scan. Other beams are then excited along with a
reflection while it is integrated, and what multiple scattering does to it changes: this
is averaged over. So mosaicity washes out dynamical detail finer than itself (which is
d / t for a thickness t), and does not make a crystal kinematic. Blocks that are thinner
than the crystal would, and are not described by this model.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from dials_spread.scattering.scans import RotationScan

# Tilts beyond this many standard deviations are left out.
WIDEST = 3.0


def mosaic_scans(
    scan: RotationScan, mosaicity: float, finest: float
) -> list[tuple[float, RotationScan]]:
    """
    Scans of blocks of the crystal, and the share of each.

    Args:
        scan: That of the mean orientation.
        mosaicity: Standard deviation of tilts [rad].
        finest: Period of the finest dependence of intensities on orientation [rad],
            d_min over thickness.

    Returns:
        Weights, which add up to one, and scans with the incident beam turned towards
        the rotation axis by equally spaced angles. The sum is the integral, to about
        1 %, for dependences as fine as `finest`, and far better for coarser ones.
    """
    phase = 2.0 * np.pi * mosaicity / finest
    if phase < 0.05:
        return [(1.0, scan)]
    spacing = 2.0 * np.pi / (phase + 3.0)
    last = int(WIDEST / spacing + 1e-9)
    tilts = spacing * np.arange(-last, last + 1)
    weights = np.exp(-0.5 * tilts**2)
    normal = np.cross(scan.axis, scan.s0)
    normal /= np.linalg.norm(normal)
    turns = Rotation.from_rotvec(mosaicity * tilts[:, None] * normal)
    return [
        (float(weight), replace(scan, s0=s0))
        for weight, s0 in zip(weights / weights.sum(), turns.apply(scan.s0))
    ]
