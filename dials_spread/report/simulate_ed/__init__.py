"""
What dials.simulate_ed writes.

Modules:
    measured_outputs: from a simulation at measured experiments, or of ions, to the log
        and the files
    plots_charges: what the charges of ions change, in units of counting noise
    plots_simulation: plots of simulations beside measurements
    simulation_outputs: from the results of dials.simulate_ed to its log and its files
    simulation_page: the report of dials.simulate_ed
    simulation_summary: what a simulated data set is like
"""

from __future__ import annotations
