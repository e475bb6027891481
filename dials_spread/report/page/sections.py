"""
The sections of the page between the summary and the pairs.

Functions:
    spread_section: the size of the spread and its sources
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """
    A part of the page.

    Attributes:
        name: Its anchor.
        title: Its heading.
        short: Its name in the navigation.
        notes: Sentences above the plots.
        plots: By name.
    """

    name: str
    title: str
    short: str
    notes: Sequence[str]
    plots: dict[str, dict]
