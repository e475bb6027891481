"""
Every sentence and every number with an interval that the programs can tell, from the code.

Sentences are the texts in the modules of dials_spread/report: text of four words or more in
a function or at the top of a module that is no documentation. Values become {}.
sentences.txt gives each of them a row of the grid, or says why nothing in it can be wrong.

Functions:
    told_in: sentences of the modules of a report
    rows_of_sentences: what sentences.txt says
    without_row: sentences that it does not know
    numbers_with_interval: paths in a JSON document
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

REPORT = Path(__file__).resolve().parents[2] / "dials_spread" / "report"

PARTS = ("compare_images", "ml_correct", "simulate_ed", "page")
"""Folders of the report whose sentences are listed; page serves all commands."""

WORDS = 4
"""Fewest words of a sentence."""

ROWS_FILE = Path(__file__).with_name("sentences.txt")


_PAIRS = (
    *("background_spread", "cc", "cc_rank", "chi_square", "excess_spread"),
    *("n_background", "r_factor", "scale", "spread_ratio"),
)
_CURVE = ("gamma", "nugget", "share", "share_of_plateau", "sill")
_SOURCES = ("crystal", "image", "noise", "orientation", "rest", "thickness")

NUMBERS = {
    **{f"agreement.{n}": "pairs of one orientation" for n in _PAIRS},
    **{f"agreement_same_orientation.{n}": "pairs of one orientation" for n in _PAIRS},
    **{f"beam.explained.{n}": "beam and images" for n in ("annulus", "background")},
    **{f"beam.explained.{n}": "beam and images" for n in ("dials_scale", "disc")},
    "beam.explained.spots": "beam and images",
    **{f"components.{n}.share": "sources of the spread" for n in _SOURCES},
    **{f"components.{n}.variance": "sources of the spread" for n in _SOURCES},
    "components.correlation_angle": "correlation angle",
    "noisy_spots.reflections.s": "noisy reflections and outliers",
    "normality.excess_kurtosis": "distribution of residuals",
    "normality.skewness": "distribution of residuals",
    "same_orientation.contrast.ratio": "pairs of one orientation",
    "simulation.explained": "explained by a simulation",
    "spread.s": "size of the spread",
    **{
        f"spread.by_{n}.s": "size of the spread"
        for n in ("crystal", "image", "intensity", "resolution")
    },
    **{
        f"variogram.{part}{n}": "sources of the spread"
        for part in ("", "corrected.", "within.")
        for n in _CURVE
    },
    **{
        f"variogram.{part}range": "correlation angle"
        for part in ("", "corrected.", "within.")
    },
}
"""Rows of numbers with an interval in the JSON document of dials.compare_images."""

BIN_EDGES = (
    *("variogram", "variogram.corrected", "variogram.within"),
    *(f"spread.by_{n}" for n in ("crystal", "image", "intensity", "resolution")),
)
"""Where low and high are the ends of bins."""


class Told(NamedTuple):
    """
    A sentence in the code.

    Attributes:
        place: Module and function, as compare_images/findings.describe_size.
        text: With {} for values.
    """

    place: str
    text: str


def told_in(folder: Path = REPORT, parts: tuple[str, ...] = PARTS) -> list[Told]:
    """
    List the sentences of all modules below some folders.

    Args:
        folder: That of the report.
        parts: Folders in it.
    """
    found = {}
    for part in parts:
        for module in sorted((folder / part).rglob("*.py")):
            place = str(module.relative_to(folder).with_suffix(""))
            tree = ast.parse(module.read_text(encoding="utf-8"))
            for told in _Sentences(place).of(tree):
                found.setdefault(told.text, told)
    return sorted(found.values())


class _Sentences(ast.NodeVisitor):
    """Collects text, with the function that it stands in."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.function = ""
        self.found: list[Told] = []

    def of(self, tree: ast.AST) -> list[Told]:
        self.visit(tree)
        return self.found

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:  # noqa: N802
        before = self.function
        self.function = self.function or node.name
        self.generic_visit(node)
        self.function = before

    def visit_Expr(self, node: ast.Expr) -> None:  # noqa: N802
        if not isinstance(node.value, ast.Constant):  # else documentation
            self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:  # noqa: N802
        """An error is no claim about data."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:  # noqa: N802
        self._keep(_template(node))
        for value in node.values:
            if isinstance(value, ast.FormattedValue):
                self.visit(value.value)

    def visit_Constant(self, node: ast.Constant) -> None:  # noqa: N802
        if isinstance(node.value, str):
            self._keep(node.value)

    def _keep(self, text: str) -> None:
        text = " ".join(text.split())
        if is_sentence(text):
            place = f"{self.place}.{self.function}" if self.function else self.place
            self.found.append(Told(place, text))


def _template(node: ast.JoinedStr) -> str:
    return "".join(
        str(part.value) if isinstance(part, ast.Constant) else "{}"
        for part in node.values
    )


def is_sentence(text: str) -> bool:
    """
    Say whether text is told to a reader.

    Args:
        text: A template.
    """
    if re.search(r"</?\w+[ >]|[{;]\s*--|\\[a-z]|^\s*\.", text):
        return False
    words = re.findall(r"[A-Za-zÀ-ÿ½²]{2,}", text.replace("{}", " "))
    return len(words) >= WORDS


def rows_of_sentences(file: Path = ROWS_FILE) -> dict[str, str]:
    """
    Read which row each sentence belongs to.

    Args:
        file: Lines ``[row]``, each followed by its sentences; # begins a comment.

    Returns:
        Rows by sentence.
    """
    rows, row = {}, ""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("[") and line.endswith("]"):
            row = line[1:-1]
        elif line.strip() and not line.startswith("#"):
            rows[line] = row
    return rows


def without_row(told: list[Told], rows: dict[str, str]) -> list[Told]:
    """
    List the sentences without a row.

    Args:
        told: From told_in.
        rows: From rows_of_sentences.
    """
    return [sentence for sentence in told if sentence.text not in rows]


def numbers_with_interval(document, path: str = "") -> set[str]:
    """
    List the numbers of a JSON document that stand with an interval.

    Args:
        document: Or a part of it.
        path: Of the part. Members of lists are [].

    Returns:
        Paths, as components.image.share.
    """
    if isinstance(document, list):
        return set().union(*(numbers_with_interval(m, f"{path}[]") for m in document))
    if not isinstance(document, dict):
        return set()
    found = set()
    for key, value in document.items():
        stem = re.fullmatch(r"(?:(.+)_)?low", key)
        if key == "low" and path in BIN_EDGES:
            continue
        if stem and key[: len(key) - 3] + "high" in document:
            found.add(f"{path}.{stem[1]}".strip(".") if stem[1] else path)
        found |= numbers_with_interval(value, f"{path}.{key}".strip("."))
    return found
