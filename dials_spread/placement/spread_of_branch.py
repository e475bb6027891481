"""
How large the spread of one branch's observations is, and what depends on orientation.

Functions:
    spread_of_branch: from files
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dials_spread.input_files import read_files
from dials_spread.pairs import crystal_scales
from dials_spread.spread.analysis import SpreadChoices, analyse_spread
from dials_spread.spread.observed import observe

MOST_PAIRS = 2_000_000
"""Pairs of observations behind the share of the orientation: enough for one number."""


@dataclass(frozen=True)
class SpreadOfBranch:
    """
    The spread of scaled observations about their mean.

    Attributes:
        s: Relative error not covered by σ; nan where nothing was observed twice.
        low, high: Its 95 % interval; nan where there is none.
        orientation: Share of the variance, counting noise included, that depends on the
            orientation; nan where it cannot be told.
    """

    s: float
    low: float
    high: float
    orientation: float

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return asdict(self)


def spread_of_branch(files: Sequence[Path], seed: int) -> SpreadOfBranch:
    """
    Measure the spread of one branch, as dials.compare_images does.

    Args:
        files: Experiments and reflections, scaled.
        seed: For draws.
    """
    logging.getLogger("dials").setLevel(logging.ERROR)
    experiments, reflections = files
    found = read_files([str(experiments)], [str(reflections)], "scale")
    observed = observe(found.experiments, found.tables, intensity="scale", min_zeta=0.0)
    choices = SpreadChoices(normality=False, likelihood=False, max_pairs=MOST_PAIRS)
    analysis = analyse_spread(
        observed.observations,
        observed.counting,
        crystal_scales(observed.observations),
        choices,
        np.random.default_rng(seed),
        1,
    )
    size, parts = analysis.size, analysis.components
    low = np.nan if size is None else size.overall.s_low[0]
    high = np.nan if size is None else size.overall.s_high[0]
    share = np.nan if parts is None else parts.orientation.share
    return SpreadOfBranch(analysis.s, float(low), float(high), float(share))
