"""
The section on the size of the spread and its sources.
"""

from __future__ import annotations

from collections.abc import Mapping

from dials_spread.observations import Observations
from dials_spread.report.compare_images.spread.plots_spread import (
    not_drawn,
    spread_plots,
)
from dials_spread.report.page.sections import Section
from dials_spread.spread.analysis import SWITCHED_OFF, SpreadAnalysis
from dials_spread.spread.sources.told import ToldSources

PARTS = {
    "spread": "Size of the spread",
    "variogram": "Variogram",
    "components": "Sources of the spread",
    "normality": "Distribution of the residuals",
}


def spread_section(
    observations: Observations,
    spread: SpreadAnalysis,
    crystal_names: Mapping[int, str] | None = None,
    told: ToldSources | None = None,
) -> Section:
    """
    Lay out the size of the spread and its sources.

    Args:
        observations: With the images.
        spread: The results.
        crystal_names: By number; the numbers alone by default.
        told: What is said of its sources; None takes what the sources alone tell.

    Returns:
        The section; parts that are empty say why.
    """
    notes = [
        f"{PARTS[key]}: {reason}"
        for key, reason in spread.reasons.items()
        if key in PARTS and reason != SWITCHED_OFF
    ]
    if told and told.reason:
        notes.append(f"{PARTS['components']}: {told.reason}")
    if spread.variograms and spread.variograms.shown.reason:
        notes.append(f"No curve is fitted: {spread.variograms.shown.reason}")
    if spread.normality and spread.normality.reason:
        notes.append(f"Normal distribution: {spread.normality.reason}")
    if spread.size and spread.size.left_out:
        counts = "; ".join(f"{n:,}: {why}" for why, n in spread.size.left_out.items())
        notes.append(
            f"Left out here are observations without information on s ({counts})."
        )
    notes += not_drawn(spread)
    return Section(
        name="spread",
        title="How large is the spread, and where does it come from?",
        short="Spread",
        notes=notes,
        plots=spread_plots(observations, spread, crystal_names, told),
    )
