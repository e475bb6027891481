"""
CIF with frames of PETS2 (.cif_pets) in, experiments and a reflection table out.

The laboratory is that of PETS2: the beam runs along -z, and index h has the reciprocal
vector ``Rz(ω) Rx(α) Ry(β) UB h`` on a frame (Palatinus et al. (2019), Acta Cryst. B75,
512; the order of the rotations was confirmed with the zone axes of measured files). It
is turned about the beam until the tilt axis is along x.

Modules:
    cif_file: read and check the file
    conversion: one file after the other, and what the log says of each
    experiments: from runs of frames to experiments of DIALS
    frame_kinds: rotation or precession, as header and intensities have it
    frame_orientations: the setting matrix of each frame, and frames to runs of even steps
    reflections: the table
    rocking_curves: excitation errors, and what the intensities say of the measurement
    summed_frames: parts of intensities on many frames, summed
"""

from __future__ import annotations
