"""
How much of each amplitude came from a provisional structure: reflection by reflection.

Functions:
    reflection_columns: of all reflections, for JSON
    undetermined_table: the strongest ones that observations do not determine
"""

from __future__ import annotations

import numpy as np

from dials_spread.report.page.labels import NO_VALUE, digits, hkl_label
from dials_spread.report.page.tables import TextTable
from dials_spread.with_structure import SecondCorrection

STRONGEST = 20
"""Rows of the table: JSON has all."""


def reflection_columns(
    found: SecondCorrection, miller_index: np.ndarray, d_spacing: np.ndarray
) -> dict[str, np.ndarray] | None:
    """
    Give what became of each reflection, one column for each field.

    Args:
        found: The correction.
        miller_index: Shape (u, 3).
        d_spacing: Shape (u,) [Å].

    Returns:
        Shape (u,) each: h, k, l, d [Å]; F_first and F_second, amplitudes after the first and
        the second correction on the scale of the data, with sigma_first and sigma_second;
        share_of_first_estimate, 1 where nothing came from the structure; undetermined;
        observations; response, of that observation which depends most on its |F|. None
        where no step was taken, so that nothing came from the structure.
    """
    if not found.n_steps:
        return None
    unique, response = found.unique, found.response
    known = np.isfinite(response)
    largest = np.full(len(d_spacing), np.nan)
    order = np.flatnonzero(known)[np.argsort(np.abs(response[known]), kind="stable")]
    largest[unique[order]] = response[order]  # of several the last stays
    h, k, l = np.asarray(miller_index).T
    return {
        "h": h,
        "k": k,
        "l": l,
        "d": d_spacing,
        "F_first": found.first.F,
        "sigma_first": np.asarray(found.first.sigma_F),
        "F_second": found.estimate.F,
        "sigma_second": np.asarray(found.estimate.sigma_F),
        "share_of_first_estimate": 1 - found.step.information,
        "undetermined": found.step.undetermined,
        "observations": np.bincount(unique, minlength=len(d_spacing)),
        "response": largest,
    }


def undetermined_table(
    found: SecondCorrection, miller_index: np.ndarray, d_spacing: np.ndarray
) -> TextTable | None:
    """
    List the strongest reflections that their observations do not determine.

    Args:
        found, miller_index, d_spacing: As for reflection_columns.

    Returns:
        None where there are none, or no step was taken.
    """
    columns = reflection_columns(found, miller_index, d_spacing)
    if columns is None or not columns["undetermined"].any():
        return None
    which = np.flatnonzero(columns["undetermined"])
    n = len(which)
    which = which[np.argsort(-columns["F_second"][which], kind="stable")][:STRONGEST]
    rows = []
    for i in which:
        response = columns["response"][i]
        told = f"{response:.2f}".replace("-", "−")
        rows.append(
            [
                hkl_label(np.asarray(miller_index)[i]),
                f"{d_spacing[i]:.2f}",
                digits(float(columns["F_first"][i])),
                digits(float(columns["F_second"][i])),
                digits(float(columns["sigma_second"][i]), 2),
                f"{columns['share_of_first_estimate'][i]:.2f}",
                str(int(columns["observations"][i])),
                told if np.isfinite(response) else NO_VALUE,
            ]
        )
    header = ["h k l", "d [Å]", "|F| first", "second", "σ second"]
    header += ["share of the first estimate", "observations", "largest response"]
    title = "Undetermined reflections, of which observations say less than the first estimate"
    if n > STRONGEST:
        title += f": the {STRONGEST} strongest of {n:,}"
    return TextTable(title, header, rows)
