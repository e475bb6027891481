"""
How large the spread of equivalent observations is, and where it comes from.

Packages:
    beam: what the intensity of the beam on each image has to do with the spread
    chance: whether a pair of images agrees better than expected by chance
    noisy_spots: spots that disagree most, and what leaving them out does
    orientations: whether zone axes and extreme observations belong together
    size: how large the spread is beyond the known errors
    sources: which part of the variance each source has
    variogram: how the disagreement of two observations grows with the angle between
        their beams

Modules:
    analysis: the size of the spread, where it comes from and how it is distributed
    analysis_phil: the parameters of the size of the spread and its sources, for
        commands to include
    observed: observations as the spread is measured on them
    origins: beam, special orientations and noisy spots
    origins_phil: the parameters of beam, special orientations and noisy spots, for
        commands to include
    table_columns: what is taken from reflection tables besides observations
"""

from __future__ import annotations
