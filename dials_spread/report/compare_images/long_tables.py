"""
Tables of all pairs and all images, in a file beside the JSON document.

The file is a zip of arrays as numpy.savez_compressed writes it; each is one table, whose
fields are the columns, so that a table is read in one line::

    pairs = pandas.DataFrame(numpy.load("dials.compare_images.npz")["pairs"])

Functions:
    table_of: columns as one array
    image_columns: what is known of each image
    long_tables: the arrays of the file
    tables_as_bytes: its content
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO

import numpy as np

from dials_spread.comparison import Comparison
from dials_spread.report.compare_images.document import FORMAT, match_columns
from dials_spread.stages import stage


def table_of(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """
    Put columns into one array.

    Args:
        columns: Shape (n,) each, by name.

    Returns:
        Shape (n,), with fields of these names: int32, float32 (seven digits, of which
        none but the first three are known), bool or text.
    """
    kinds = {"i": np.int32, "u": np.int32, "f": np.float32}
    arrays = {name: np.asarray(column) for name, column in columns.items()}
    types = [(n, kinds.get(a.dtype.kind, a.dtype)) for n, a in arrays.items()]
    length = len(next(iter(arrays.values())))
    table = np.empty(length, dtype=types)
    for name, array in arrays.items():
        table[name] = array
    return table


def image_columns(comparison: Comparison) -> dict[str, np.ndarray]:
    """
    Describe the images, one column for each field.

    Args:
        comparison: The results.

    Returns:
        Shape (images,) each: names as in the JSON document, the beam in the crystal, how
        many observations are on each, and, nan where unknown, s with its interval and
        the relative factor of the image.
    """
    observations = comparison.observations
    images, n = observations.images, len(observations.images)
    columns = {
        "dataset": observations.dataset[images.crystal],
        "crystal": images.crystal,
        "image": images.first,
        "image_last": images.last,
        "observations": np.bincount(observations.entry_image, minlength=n),
        **{f"beam_{axis}": b for axis, b in zip("xyz", images.beam.T)},
    }
    names = ("s", "s_low", "s_high")
    columns.update({name: np.full(n, np.nan) for name in names})
    if comparison.spread.size is not None:
        found = comparison.spread.size.by_image
        for name in names:
            columns[name][found.number] = getattr(found, name)
    factors = comparison.spread.factors
    columns["factor"] = np.full(n, np.nan) if factors is None else factors.factor
    return columns


@stage("Tables of results")
def long_tables(comparison: Comparison) -> dict[str, np.ndarray]:
    """
    Give the arrays of the file.

    Args:
        comparison: The results.

    Returns:
        The arrays ``pairs`` (all of them, best first), ``images`` and ``format``.
    """
    pairs = match_columns(
        comparison.observations,
        comparison.incidence.operators,
        comparison.matches,
        comparison.agreement,
        comparison.significance,
    )
    return {
        "format": np.array(FORMAT),
        "pairs": table_of(pairs),
        "images": table_of(image_columns(comparison)),
    }


def tables_as_bytes(tables: dict[str, np.ndarray]) -> bytes:
    """Give the content of the file with these arrays: most of it is compression."""
    file = BytesIO()
    np.savez_compressed(file, **tables)
    return file.getvalue()
