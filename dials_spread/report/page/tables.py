"""
Tables for the log and the page.
"""

from __future__ import annotations

from dataclasses import dataclass

from tabulate import tabulate


@dataclass(frozen=True)
class TextTable:
    """A table for the log and the page: title, header and rows of text."""

    title: str
    header: list[str]
    rows: list[list[str]]

    def as_text(self) -> str:
        """For the log."""
        table = tabulate(self.rows, self.header, tablefmt="rst", disable_numparse=True)
        return f"{self.title}\n{table}"
