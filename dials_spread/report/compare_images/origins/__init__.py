"""
Where the spread comes from besides the orientation: beam, zone axes, noisy spots.

Modules:
    origins_findings: beam, special orientations and noisy spots in plain words
    origins_section: beam, special orientations and noisy spots on the page and in the
        log
    plots_beam: plots of the beam
    plots_noisy: plots of noisy spots
    plots_removal: what leaving out noisy spots does, against leaving out as many at
        random
    plots_special: plots of special orientations
"""

from __future__ import annotations
