"""
The intensity of the beam on each image, from raw images.

Modules:
    files: where the raw images are
    frames: the counts of one frame
    images: from frames to images
    plan: which file is read for which frame
    regions: which pixels count: an annulus about the beam, and the direct beam
    rings: levels, and what is far above them
    series: all frames, each read once, by several workers
    spots: the pixels that spots cover, frame by frame
"""

from __future__ import annotations

from dials_spread.beam.images import BeamIntensity, measure_beam
from dials_spread.beam.regions import BeamRegion

__all__ = ["BeamIntensity", "BeamRegion", "measure_beam"]
