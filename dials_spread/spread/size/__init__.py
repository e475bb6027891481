"""
How large the spread is beyond the known errors.

Modules:
    reflection_spread: the excess spread of each unique reflection, and how well it is
        known
    rejected: outliers of dials.scale that are none
    residuals: how far each observation is from the mean of the others
    same_crystal: what observations of one reflection on the same crystal have in common
    size: the size of the spread overall, by intensity, by resolution, by crystal and by
        image
    worst_images: images whose observations spread more than those of all images together
"""

from __future__ import annotations
