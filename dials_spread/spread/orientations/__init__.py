"""
Whether zone axes and extreme observations belong together.

Modules:
    association: is a quantity of images associated with their orientation, or with the
        crystals?
    special: do the extremes come from special orientations?
    zone_axes: special directions of a crystal, and how near the beam of each image is
        to one
"""

from __future__ import annotations
