"""
All plots of a comparison by name, and as files.

Functions:
    overview_plots, pair_plots: what the page shows
    save_figures: the same as files
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dials_spread.observations import Observations
from dials_spread.pairs import Matches, PairAgreement, SpotComparison
from dials_spread.report.compare_images.pictures import Picture
from dials_spread.report.compare_images.plots_maps import image_map, orientation_map
from dials_spread.report.compare_images.plots_overview import (
    NAMES,
    angle_plot,
    distribution_plots,
)
from dials_spread.report.compare_images.plots_pairs import scatter_plot, spots_plot
from dials_spread.report.compare_images.plots_picture import picture_plot
from dials_spread.report.page.labels import image_label
from dials_spread.report.page.sections import Section
from dials_spread.symmetry import LaueOperators


def reference_arrays(reference: dict | None) -> dict[str, np.ndarray] | None:
    """
    Take the distributions out of an earlier run's document.

    Args:
        reference: The document, as read_earlier gives it, or None.

    Returns:
        Shape (n,) by quantity, nan for null; None without a reference.
    """
    if reference is None:
        return None
    return {q: np.array(reference["matches"][q], dtype=float) for q in NAMES}


def reference_label(reference: dict | None) -> str:
    """
    Name an earlier run.

    Args:
        reference: Its document, or None.

    Returns:
        With the radiation, where the document knows it.
    """
    radiation = ((reference or {}).get("input") or {}).get("radiation")
    return f"reference ({radiation})" if radiation else "reference"


def overview_plots(
    observations: Observations,
    operators: LaueOperators,
    matches: Matches,
    agreement: PairAgreement,
    reference: dict | None = None,
) -> dict[str, dict]:
    """
    Make the plots of all pairs.

    Args:
        observations: With the images.
        operators: Of the Laue group.
        matches: The pairs.
        agreement: Of the pairs.
        reference: The document of an earlier run to compare with.

    Returns:
        Plots by name, in the order of the page.
    """
    plots = {
        "orientations": orientation_map(observations, operators, matches),
        "matched_images": image_map(observations, matches, agreement),
    }
    for quantity in ("excess_spread", "r_factor"):
        plot = angle_plot(observations, matches, agreement, quantity)
        plots[f"angle_{quantity}"] = plot
    distributions = distribution_plots(
        matches,
        agreement,
        f"these data ({observations.radiation})",
        reference_arrays(reference),
        reference_label(reference),
    )
    order = ("excess_spread", "r_factor", "cc", "n_common")
    return {**plots, **{f"distribution_{q}": distributions[q] for q in order}}


def find_pair(matches: Matches, spots: SpotComparison) -> int | None:
    """
    Find a pair in the list.

    Args:
        matches: All pairs.
        spots: One pair.

    Returns:
        Its number; None where it is not in the list.
    """
    same = (matches.image_a == spots.image_a) & (matches.image_b == spots.image_b)
    return int(np.argmax(same)) if same.any() else None


def pair_plots(
    observations: Observations,
    matches: Matches,
    agreement: PairAgreement,
    spots: SpotComparison,
    picture: Picture | None,
) -> dict[str, dict]:
    """
    Make the plots of one pair.

    Args:
        observations: With the images.
        matches: All pairs.
        agreement: Of all pairs.
        spots: The pair.
        picture: Of the pair, or None.

    Returns:
        Plots by name, in the order of the page.
    """
    number = find_pair(matches, spots)
    cc = r_factor = np.nan
    if number is not None:
        cc, r_factor = agreement.cc[number], agreement.r_factor[number]
    a = image_label(observations, spots.image_a)
    b = image_label(observations, spots.image_b)
    return {
        "spots": spots_plot(spots, a, b),
        "scatter": scatter_plot(spots, a, b, cc, r_factor),
        "picture": picture_plot(spots, a, b, picture),
    }


def save_figures(
    folder: str | Path,
    file_format: str,
    observations: Observations,
    incidence_operators: LaueOperators,
    matches: Matches,
    agreement: PairAgreement,
    spots: Sequence[SpotComparison],
    pictures: Sequence[Picture | None],
    reference: dict | None = None,
    sections: Sequence[Section] = (),
) -> list[Path]:
    """
    Write all figures of the page to files.

    Args:
        folder: Made where it does not exist.
        file_format: "png" or "svg".
        observations: With the images.
        incidence_operators: Of the Laue group.
        matches: The pairs.
        agreement: Of the pairs.
        spots: The chosen pairs.
        pictures: One for each of these, or None.
        reference: The document of an earlier run to compare with.
        sections: Of the page, with plots of their own.

    Returns:
        The paths: orientations, matched_images, angle_…, distribution_…, and
        pair_1_spots, pair_1_scatter, pair_1_picture with the rank of the pair.
    """
    # matplotlib takes longer to load than many a comparison.
    from dials_spread.report.page.static import write_figure

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    plots = overview_plots(
        observations, incidence_operators, matches, agreement, reference
    )
    for section in sections:
        plots.update(section.plots)
    for i, (pair, picture) in enumerate(zip(spots, pictures)):
        number = find_pair(matches, pair)
        rank = i + 1 if number is None else number + 1
        own = pair_plots(observations, matches, agreement, pair, picture)
        plots.update({f"pair_{rank}_{name}": plot for name, plot in own.items()})
    return [write_figure(p, folder / f"{n}.{file_format}") for n, p in plots.items()]
