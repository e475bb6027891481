"""
The sections of a page between what was found and the parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dials_spread.report.page.tables import TextTable


@dataclass(frozen=True)
class Section:
    """
    A part of the page: heading, sentences, plots, then tables.

    Attributes:
        name: Its anchor.
        title: Its heading.
        short: Its name in the navigation.
        notes: Sentences above the plots.
        plots: By name, which is unique on the page.
        tables: Below the plots.
    """

    name: str
    title: str
    short: str
    notes: Sequence[str] = ()
    plots: Mapping[str, dict] = field(default_factory=dict)
    tables: Sequence[TextTable] = ()
