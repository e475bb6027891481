"""
How the text of logs is laid out: parts with a heading, wrapped paragraphs, numbered steps.

Functions:
    wrapped: a paragraph
    log_part: paragraphs under a heading
    numbered: steps, where there are several
    steps_text: what to do next, with command lines that can be copied
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from textwrap import fill
from typing import NamedTuple

WIDTH = 92
"""Columns of the text of a log; tables and command lines may be wider."""


class Step(NamedTuple):
    """
    Something to do.

    Attributes:
        text: What, and why.
        command: A command line for it, or nothing.
    """

    text: str
    command: str = ""

    @property
    def on_page(self) -> str:
        """The step as pages take it: on a line of its own, the command is set apart."""
        return f"{self.text}\n{self.command}" if self.command else self.text


def wrapped(text: str) -> str:
    """
    Wrap a paragraph, without parting numbers from their units.

    Args:
        text: One paragraph.

    Returns:
        Lines.
    """
    joined = re.sub(r"(\d) ([%°Å])", "\\1\u00a0\\2", text)
    lines = fill(joined, WIDTH, break_long_words=False, break_on_hyphens=False)
    return lines.replace("\u00a0", " ")


def log_part(title: str, paragraphs: Iterable[str]) -> str:
    """
    Put paragraphs under a heading.

    Args:
        title: The heading.
        paragraphs: Wrapped, or as they are to stand.

    Returns:
        Lines, an empty one at the end.
    """
    text = "\n\n".join(paragraphs)
    return f"{title}\n{'-' * len(title)}\n{text}\n"


def numbered(steps: Sequence[str]) -> list[str]:
    """Number steps, where there are several."""
    if len(steps) == 1:
        return list(steps)
    return [f"{k}. {step}" for k, step in enumerate(steps, start=1)]


def steps_text(steps: Sequence[Step]) -> str:
    """
    Say what to do next, with command lines that can be copied.

    Args:
        steps: In their order.

    Returns:
        A part of the log.
    """
    texts = numbered([step.text for step in steps])
    told = [
        wrapped(text) + (f"\n\n    {step.command}" if step.command else "")
        for text, step in zip(texts, steps)
    ]
    return log_part("What to do next", told)
