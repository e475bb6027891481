"""
What is written where no process holds all observations: log, JSON document and tables.

The document has the keys of the usual one for what is answered, and says what is not. There
is no page.

Functions:
    blocks_document: the JSON document
    write_blocks: all files
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable

import numpy as np

from dials_spread.in_blocks.comparison import BlocksComparison
from dials_spread.pairs.summary import MedianOverPairs
from dials_spread.report.compare_images.document import FORMAT
from dials_spread.report.compare_images.long_tables import table_of
from dials_spread.report.page.document import (
    Provenance,
    version_document,
    write_json,
)
from dials_spread.report.page.log_text import log_part, wrapped
from dials_spread.report.page.report_files import write_all
from dials_spread.report.page.tables import TextTable

logger = logging.getLogger("dials.spread.report")

ANSWERED = (
    "matching: the exact best partners of every image",
    "agreement of each pair",
    "size of the spread: overall, by intensity, by resolution, by crystal",
    "factors of images",
    "pairs of the same orientation against all others",
)
"""Questions that are answered where observations stay on the workers."""

NOT_ANSWERED = (
    "variogram, correlation angle and sources of the spread",
    "distribution of residuals, robust s, s by image",
    "permutation test of each pair",
    "beam, zone axes and noisy spots",
    "spread explained by simulated intensities",
    "crystals given twice, or with exchanged axes",
    "outliers of dials.scale that are none: they stay left out",
)
"""Questions that are not."""

MEANINGS = {
    "json": "all results, for other programs",
    "tables": "all pairs, images and crystals, for numpy and pandas",
}


def blocks_document(found: BlocksComparison, provenance: Provenance) -> dict:
    """
    Give the results as a JSON document.

    Args:
        found: The results.
        provenance: Command, files and parameters.
    """
    frame, size = found.frame, found.size
    return {
        **version_document(provenance),
        "observations_on": "workers",
        "answered": list(ANSWERED),
        "not_answered": list(NOT_ANSWERED),
        "input": {
            "files": list(found.files),
            "blocks": frame.n_blocks,
            "crystals": int(frame.present.sum()),
            "images": len(frame.images),
            "observations": int(frame.number.sum()),
            "unique": frame.n_unique,
            "dropped": found.dropped,
            "space_group": str(frame.space_group.info()),
            "unit_cell": list(frame.unit_cell.parameters()),
            "radiation": frame.radiation,
            "notes": list(found.notes),
        },
        "intensity": frame.choice,
        "parameters": provenance.parameters,
        "spread": {
            "s": size.s,
            "s_low": size.low,
            "s_high": size.high,
            "n": size.n_observations,
            "n_reflections": size.n_reflections,
            "crystals": size.n_crystals,
            "by_intensity": _bins(size.by_intensity, size.intensity_edges),
            "by_resolution": _bins(size.by_resolution, size.resolution_edges),
        },
        "n_matches": len(found.pairs),
        "agreement": _medians(found.medians),
        "agreement_same_orientation": _medians(found.medians_near),
        "same_orientation": {
            **vars(found.same_orientation),
            "contrast": found.contrast.as_dict(),
        },
    }


def _bins(rows: np.ndarray, edges: np.ndarray) -> dict:
    s, low, high = rows
    return {"low": edges[:-1], "high": edges[1:], "s": s, "s_low": low, "s_high": high}


def _medians(medians: dict[str, MedianOverPairs]) -> dict:
    return {name: median.as_dict() for name, median in medians.items()}


def blocks_tables(found: BlocksComparison) -> bytes:
    """
    Give the tables of all pairs, images and crystals, as numpy.savez writes them.

    Args:
        found: The results.
    """
    pairs, images = found.pairs, found.frame.images
    names = ("image_a", "image_b", "operator", "n_common", "beam_angle")
    file = io.BytesIO()
    np.savez_compressed(
        file,
        format=np.array(FORMAT),
        pairs=table_of({n: getattr(pairs, n) for n in names} | found.statistics),
        images=table_of(
            {
                "crystal": images.crystal,
                "image": images.first,
                "image_last": images.last,
                "indices": pairs.counts,
                "factor": found.factors,
            }
        ),
        crystals=table_of(
            {
                "observations": found.frame.number,
                "scale": found.scales,
                "s": found.size.by_crystal,
            }
        ),
    )
    return file.getvalue()


def _percent(value: float, low: float, high: float) -> str:
    if not np.isfinite(low):
        return f"{100 * value:.2f} %"
    return f"{100 * value:.2f} % ({100 * low:.2f} to {100 * high:.2f})"


def _sentences(found: BlocksComparison) -> list[str]:
    """The answers, in words."""
    size, contrast, same = found.size, found.contrast, found.same_orientation
    told = [
        "How large is the relative error that the standard deviations do not cover? "
        f"s = {_percent(size.s, size.low, size.high)}, from {size.n_observations:,} "
        f"observations of {size.n_reflections:,} reflections on {size.n_crystals:,} "
        "crystals.",
        f"How well do matched images agree? {len(found.pairs):,} pairs, of which "
        f"{int(found.near.sum()):,} are of the same orientation (beams within "
        f"{same.angle:.2g}°, {same.reason}).",
    ]
    if contrast.reason:
        told.append(
            "Do images of the same orientation agree better with each other than with "
            f"other images? That is not known: {contrast.reason}"
        )
    else:
        told.append(
            "Do images of the same orientation agree better with each other than with "
            f"other images? Within pairs s = {100 * contrast.s_within:.2f} %, with all "
            f"others {100 * contrast.s_others:.2f} %; ratio {contrast.ratio:.4f} "
            f"({contrast.ratio_low:.4f} to {contrast.ratio_high:.4f}), p = "
            f"{contrast.p_value:.2g} of a normal deviate with the variance of random "
            "signs."
        )
    return told


def _tables(found: BlocksComparison) -> list[TextTable]:
    """Medians over pairs, and s in bins."""
    rows = [
        [name, *(_median(part[name]) for part in (found.medians, found.medians_near))]
        for name in found.medians
    ]
    medians = TextTable(
        "Medians over pairs (95 % interval over crystals)",
        ["", "all pairs", "same orientation"],
        rows,
    )
    size = found.size
    tables = [medians]
    for title, values, edges in (
        ("s by mean intensity", size.by_intensity, size.intensity_edges),
        ("s by d [Å]", size.by_resolution, size.resolution_edges),
    ):
        bins = [
            [f"{a:.4g} – {b:.4g}", _percent(*row)]
            for a, b, row in zip(edges[:-1], edges[1:], values.T)
        ]
        tables.append(TextTable(title, ["bin", "s"], bins))
    return tables


def _median(found: MedianOverPairs) -> str:
    if not np.isfinite(found.low):
        return f"{found.median:.4f}"
    return f"{found.median:.4f} ({found.low:.4f} to {found.high:.4f})"


def write_blocks(
    found: BlocksComparison, provenance: Provenance, output, log: io.StringIO
) -> None:
    """
    Write log, JSON document and tables.

    Args:
        found: The results.
        provenance: Command, files and parameters.
        output: Names of files, as the command's ``output`` scope.
        log: What has been logged.

    Raises:
        OSError: A file cannot be written.
    """
    frame = found.frame
    told = [
        f"{frame.number.sum():,} observations on {len(frame.images):,} images of "
        f"{frame.present.sum():,} crystals, in {frame.n_blocks} blocks that stay on the "
        "workers.",
        *found.notes,
    ]
    logger.info("\n%s", log_part("Input", map(wrapped, told)))
    logger.info("%s", log_part("Summary", map(wrapped, _sentences(found))))
    tables = [table.as_text() for table in _tables(found)]
    logger.info("%s", log_part("Tables", tables))
    left = [f"- {question}" for question in NOT_ANSWERED]
    note = (
        "Not answered where observations stay on the workers; without "
        "dask.observations=workers these are:"
    )
    logger.info("%s", log_part("What is not said", [wrapped(note), "\n".join(left)]))
    contents: dict[str, bytes | Iterable[bytes]] = {}
    if output.json:
        document = write_json(blocks_document(found, provenance))
        contents[output.json] = document.encode("utf-8")
    if output.tables:
        contents[output.tables] = blocks_tables(found)
    meanings = {getattr(output, key): told for key, told in MEANINGS.items()}
    write_all(contents, output.log, log, told=meanings)
