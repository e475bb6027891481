"""
How thick measured crystals are, by simulating multiple scattering in each of them.

Modules:
    passages: what each row of a table recorded, and the scan of a measured experiment
    curves: intensities of a crystal against its thickness, and the shapes it can have
    search: which thicknesses are looked for
    fit: the shape that agrees best, how well it is known, what it predicts
    settings: the ways in which a structure can be laid on a measured lattice
    preparation, one_crystal: one crystal, before and after its thickness is known
    results: what was found
    measured: all of it, for all crystals
"""

from __future__ import annotations

from dials_spread.thickness.measured import simulate_measured
from dials_spread.thickness.results import MeasuredSimulation
from dials_spread.thickness.search import ThicknessSearch

__all__ = ["MeasuredSimulation", "ThicknessSearch", "simulate_measured"]
