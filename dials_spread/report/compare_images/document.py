"""
The JSON document of dials.compare_images: what a program that reads it relies on.

Matched pairs are columns, one list for each field, as pandas.DataFrame(matches) takes
them. Documents of format 1, before there was a key ``format``, have one dict a pair.

Functions:
    comparison_document: all of it
    match_columns, input_document: parts of it
    pair_entries: pairs as dicts, of documents of either format
    read_earlier: that of an earlier run
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dials.util.version import dials_version

import dials_spread
from dials_spread.observations import Observations
from dials_spread.pairs import Matches, MedianOverPairs, PairAgreement
from dials_spread.report.page.document import Provenance, finite
from dials_spread.session import read_reference
from dials_spread.significance import Significance
from dials_spread.symmetry import LaueOperators

SAME = "agreement_same_orientation"
"""Key of the medians over pairs of the same orientation."""


FORMAT = 2
"""Raised when what a program reads changes."""


GEOMETRY = (
    *("n_common", "overlap", "jaccard", "beam_angle", "misorientation"),
    *("in_plane_angle", "mirrored"),
)
"""Of each pair, what is said about where the images are."""

_NUMBERS = {int, float, type(None)}


STATISTICS = ("n_common", "beam_angle", "cc", "r_factor", "excess_spread")
"""Of each pair, what is shown of an earlier run."""


TESTED = ("log_likelihood_ratio", "p_value", "q_value")
"""Of each pair, what is said about chance."""


RESULTS = (
    "spread",
    "variogram",
    "components",
    "normality",
    "beam",
    "orientations",
    "noisy_spots",
)
"""Results that hold nothing but a reason where they were not computed."""


def _holds_numbers(entries, names: Sequence[str]) -> bool:
    """Whether all are dicts with a number, null or nothing under each of these names."""
    return all(
        isinstance(entry, dict)
        and all(isinstance(entry.get(n), (int, float, type(None))) for n in names)
        for entry in entries
    )


def _as_columns(pairs) -> dict[str, list] | None:
    """Bring pairs of either format to columns of numbers; None where they are damaged."""
    if isinstance(pairs, list) and _holds_numbers(pairs, STATISTICS):
        return {n: [pair.get(n) for pair in pairs] for n in STATISTICS}
    if not isinstance(pairs, dict):
        return None
    columns = {n: pairs.get(n, []) for n in STATISTICS}
    n_pairs = len(columns["n_common"]) if isinstance(columns["n_common"], list) else 0
    for column in columns.values():
        numbers = isinstance(column, list) and {*map(type, column)} <= _NUMBERS
        if not numbers or len(column) not in (0, n_pairs):
            return None
    return columns


def read_earlier(filename: str | None, command: str) -> dict | None:
    """
    Read the document of an earlier run, to be shown beside the present one.

    Args:
        filename: None where there is none.
        command: The command that must have written it.

    Returns:
        The document, or None; its pairs are columns of the statistics that are shown,
        whatever the format.

    Raises:
        ValueError: It is not what the command writes, or damaged.
    """
    document = read_reference(filename, command)
    if document is None:
        return None
    pairs, medians = _as_columns(document.get("matches")), document.get(SAME)
    sound = (
        isinstance(document.get("input"), dict)
        and isinstance(document["input"].get("files"), list)
        and pairs is not None
        and isinstance(medians, dict)
        and _holds_numbers(medians.values(), ("median",))
    )
    if not sound:
        raise ValueError(f"{filename}: damaged, or of another version of {command}")
    return {**document, "matches": pairs}


def match_columns(
    observations: Observations,
    operators: LaueOperators,
    matches: Matches,
    agreement: PairAgreement,
    significance: Significance,
    most: int | None = None,
) -> dict[str, np.ndarray]:
    """
    Describe the pairs, one column for each field.

    Args:
        observations: For the names of images.
        operators: Of the Laue group.
        matches: n pairs.
        agreement: Of the pairs.
        significance: Of the pairs.
        most: Pairs described, the first ones; all by default.

    Returns:
        Shape (n,) each: dataset, crystal, first and last frame of both images, the
        operator, and all statistics.
    """
    some = slice(None, most or None)
    images, columns = observations.images, {}
    for side, image in (("a", matches.image_a[some]), ("b", matches.image_b[some])):
        crystal = images.crystal[image]
        columns[f"dataset_{side}"] = observations.dataset[crystal]
        columns[f"crystal_{side}"] = crystal
        columns[f"image_{side}"] = images.first[image]
        columns[f"image_last_{side}"] = images.last[image]
    columns["operator"] = np.array(operators.symbols)[matches.operator[some]]
    columns.update({n: getattr(matches, n)[some] for n in GEOMETRY})
    columns.update({n: column[some] for n, column in vars(agreement).items()})
    columns.update({n: getattr(significance, n)[some] for n in TESTED})
    return columns


def pair_entries(pairs, numbers: Sequence[int] | None = None) -> list[dict]:
    """
    Give pairs of a document one by one.

    Args:
        pairs: What is under ``matches``, in either format.
        numbers: Of the pairs wanted; all by default.

    Returns:
        One dict a pair, with both images as ``image_a`` and ``image_b``: ``dataset``,
        ``crystal``, ``image`` (the first frame) and ``image_last``.
    """
    if isinstance(pairs, list):
        return [pairs[k] for k in (range(len(pairs)) if numbers is None else numbers)]
    names = ("dataset", "crystal", "image", "image_last")
    numbers = range(len(pairs["n_common"])) if numbers is None else numbers
    # Of arrays Python's own numbers, as of a document that was read.
    chosen = {
        n: finite(column[list(numbers)])
        if isinstance(column, np.ndarray)
        else [column[k] for k in numbers]
        for n, column in pairs.items()
    }
    columns = {n: c for n, c in chosen.items() if n[-2:] not in ("_a", "_b")}
    return [
        {
            **{f"image_{e}": {n: chosen[f"{n}_{e}"][k] for n in names} for e in "ab"},
            **{name: column[k] for name, column in columns.items()},
        }
        for k in range(len(numbers))
    ]


def input_document(
    files: Sequence[str], observations: Observations, scales: np.ndarray
) -> dict:
    """
    Describe what went in.

    Args:
        files: Names of the input files.
        observations: The observations.
        scales: Shape (crystals,), what intensities of each were divided by.

    Returns:
        Numbers of everything, and what was left out.
    """
    n = len(observations.dataset)
    n_images = np.bincount(observations.images.crystal, minlength=n)
    n_observations = np.bincount(observations.crystal, minlength=n)
    crystals = [
        {
            "dataset": dataset,
            "crystal": c,
            "images": n_images[c],
            "observations": n_observations[c],
            "scale": scales[c],
        }
        for c, dataset in enumerate(observations.dataset)
    ]
    return {
        "files": list(files),
        "crystals": observations.n_crystals,
        "images": len(observations.images),
        "observations": len(observations),
        "unique": len(observations.unique_index),
        "dropped": observations.dropped,
        "outside_scan": observations.outside_scan,
        "space_group": str(observations.space_group.info()),
        "unit_cell": observations.unit_cell.parameters(),
        "radiation": observations.radiation,
        "by_crystal": crystals,
    }


def comparison_document(
    provenance: Provenance,
    observations: Observations,
    matches: dict[str, np.ndarray],
    n_matches: int,
    summary: dict[str, MedianOverPairs],
    summary_same: dict[str, MedianOverPairs],
    scales: np.ndarray,
    results: dict[str, object],
) -> dict:
    """
    Put the results of dials.compare_images together.

    Args:
        provenance: Command, files and parameters.
        observations: The observations.
        matches: From match_columns.
        n_matches: Pairs found, of which those may be the first ones.
        summary: From pairs.summarise, of all pairs.
        summary_same: Of pairs of the same orientation.
        scales: Shape (crystals,), what intensities of each were divided by.

    Returns:
        The document; long columns are arrays, with nan for what is not known.
    """
    document = {
        "command": provenance.command,
        "version": dials_spread.__version__,
        "dials_version": dials_version(),
        "format": FORMAT,
        "input": {
            **input_document(provenance.files, observations, scales),
            **provenance.lp_document(),
        },
        "intensity": observations.choice,
        "friedel": observations.friedel,
        "parameters": provenance.parameters,
        "n_matches": n_matches,
        "matches": matches,
        "agreement": {name: e.as_dict() for name, e in summary.items()},
        SAME: {name: e.as_dict() for name, e in summary_same.items()},
    }
    document.update({**dict.fromkeys(RESULTS), **results})
    return finite(document, columns=True)
