"""
The section of what a simulation in the input explains of the spread.
"""

from __future__ import annotations

from dials_spread.report.page.explained import explained_plot, explained_sentence
from dials_spread.report.page.sections import Section
from dials_spread.spread.sources.explained import ExplainedSpread


def simulation_section(explained: ExplainedSpread) -> Section:
    """
    Lay out what dials.compare_images says of simulated intensities in its input.

    Args:
        explained: The spread before and after the simulation.
    """
    return Section(
        name="simulation",
        title="Does multiple scattering explain the spread?",
        short="Simulation",
        notes=[explained_sentence(explained.as_dict())],
        plots={"explained": explained_plot(explained)} if explained.n else {},
    )
