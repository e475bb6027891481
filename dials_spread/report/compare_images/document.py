"""
The JSON document of dials.compare_images: what a program that reads it relies on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dials.util.version import dials_version

import dials_spread
from dials_spread.observations import Observations
from dials_spread.pairs import Matches, MedianOverPairs, PairAgreement
from dials_spread.report.page.document import Provenance, finite
from dials_spread.report.page.labels import image_document
from dials_spread.session import read_reference
from dials_spread.significance import Significance
from dials_spread.symmetry import LaueOperators

SAME = "agreement_same_orientation"
"""Key of the medians over pairs of the same orientation."""


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


def read_earlier(filename: str | None, command: str) -> dict | None:
    """
    Read the document of an earlier run, to be shown beside the present one.

    Args:
        filename: None where there is none.
        command: The command that must have written it.

    Returns:
        The document, or None.

    Raises:
        ValueError: It is not what the command writes, or damaged.
    """
    document = read_reference(filename, command)
    if document is None:
        return None
    pairs, medians = document.get("matches"), document.get(SAME)
    sound = (
        isinstance(document.get("input"), dict)
        and isinstance(document["input"].get("files"), list)
        and isinstance(pairs, list)
        and _holds_numbers(pairs, STATISTICS)
        and isinstance(medians, dict)
        and _holds_numbers(medians.values(), ("median",))
    )
    if not sound:
        raise ValueError(f"{filename}: damaged, or of another version of {command}")
    return document


def match_documents(
    observations: Observations,
    operators: LaueOperators,
    matches: Matches,
    agreement: PairAgreement,
    significance: Significance,
    most: int | None = None,
) -> list[dict]:
    """
    Describe each pair.

    Args:
        observations: For the names of images.
        operators: Of the Laue group.
        matches: n pairs.
        agreement: Of the pairs.
        significance: Of the pairs.
        most: Pairs described, the first ones; all by default.

    Returns:
        One dict a pair.
    """
    statistics = vars(agreement)
    geometry = ["n_common", "overlap", "jaccard", "beam_angle", "misorientation"]
    geometry += ["in_plane_angle", "mirrored"]
    documents = []
    for pair in range(min(len(matches), most or len(matches))):
        document = {
            "image_a": image_document(observations, matches.image_a[pair]),
            "image_b": image_document(observations, matches.image_b[pair]),
            "operator": operators.symbols[matches.operator[pair]],
        }
        document.update({n: getattr(matches, n)[pair] for n in geometry})
        document.update({n: column[pair] for n, column in statistics.items()})
        document.update({n: getattr(significance, n)[pair] for n in TESTED})
        documents.append(finite(document))
    return documents


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
    crystals = [
        {
            "dataset": dataset,
            "crystal": c,
            "images": (observations.images.crystal == c).sum(),
            "observations": (observations.crystal == c).sum(),
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
    matches: list[dict],
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
        matches: From match_documents.
        n_matches: Pairs found, of which those may be the first ones.
        summary: From pairs.summarise, of all pairs.
        summary_same: Of pairs of the same orientation.
        scales: Shape (crystals,), what intensities of each were divided by.

    Returns:
        The document.
    """
    document = {
        "command": provenance.command,
        "version": dials_spread.__version__,
        "dials_version": dials_version(),
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
    return finite({**document, **dict.fromkeys(RESULTS), **results})
