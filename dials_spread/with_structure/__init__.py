"""
A second correction for multiple scattering, with a provisional structure.

Modules:
    data_potential: amplitudes from the data, phases from the structure
    local_beams: which beams matter to one observation
    local_simulation: intensities of observations, and what each |F| does to them
    local_waves: the wave of one observation, and its derivative
"""

from __future__ import annotations
