"""
How thick measured crystals are, by simulating multiple scattering in each of them.

Modules:
    crossings: what each row of a table recorded, and the scan of a measured experiment
    curves: intensities of a crystal against its thickness, and the shapes it can have
    fit: the shape that agrees best, how well it is known, what it predicts
    measured: all of it, for all crystals
    one_crystal: one measured crystal
    parameters: the parameters of a simulation at measured experiments, for the command
    preparation: one measured crystal before its thickness is known
    results: what was found
    search: which thicknesses are looked for
    settings: the ways in which a structure can be laid on a measured lattice
    tables: the measured tables again, with the simulated columns
"""

from __future__ import annotations

from dials_spread.thickness.measured import simulate_measured
from dials_spread.thickness.results import MeasuredSimulation
from dials_spread.thickness.search import ThicknessSearch

__all__ = ["MeasuredSimulation", "ThicknessSearch", "simulate_measured"]
