"""
Tables for the log and the page.
"""

from __future__ import annotations

from dataclasses import dataclass

from tabulate import tabulate

MOST_ROWS = 200
"""In a log: of more it is no longer read."""


@dataclass(frozen=True)
class TextTable:
    """A table for the log and the page: title, header and rows of text."""

    title: str
    header: list[str]
    rows: list[list[str]]

    def as_text(self) -> str:
        """For the log, which has the first rows of a long table."""
        shown, left = self.rows[:MOST_ROWS], len(self.rows) - MOST_ROWS
        table = tabulate(shown, self.header, tablefmt="rst", disable_numparse=True)
        more = f"\n{left:,} more rows are not shown here." if left > 0 else ""
        return f"{self.title}\n{table}{more}"
