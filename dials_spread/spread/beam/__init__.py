"""
What the intensity of the beam on each image has to do with the spread.

Modules:
    beam_shares: how much of the image component of unscaled data an indicator of the
        beam explains
    beam_sources: what explains the image component
    image_factors: the image component of unscaled data
"""

from __future__ import annotations
