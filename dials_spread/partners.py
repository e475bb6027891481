"""
The exact best partners of every image.

With beam directions the search goes outwards in angle and skips what cannot be better
(see partner_kernels.py); without them a counter over an inverted index remains. Both
give what brute force gives.

Functions:
    find_partners: of every image, by either way
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from dials_spread.direction_grid import build_grid
from dials_spread.partner_counter import count_block, invert
from dials_spread.partner_kernels import excitation_limits
from dials_spread.partner_search import Best, Geometry, Grid, Rows, search_block
from dials_spread.threads import limited_threads

COUNT_SECONDS = 1e-9
"""What one step of the counter takes, roughly, on two cores."""

TRIAL_SECONDS = 0.2
"""A count this short is made without further ado."""

TRIAL = 256
"""Images on which the search is tried."""

# Images handed to the compiled search at once: small enough for a progress bar that
# moves, large enough for the threads to share the work evenly.
BLOCK = 16384


@dataclass(frozen=True)
class Partners:
    """
    The best partners of n images, up to t of each, best first.

    Attributes:
        image: Shape (n, t), int32: the partner's number; -1 where there are fewer.
        n_common: Shape (n, t), int32: indices in common.
        operator: Shape (n, t), int16: takes the partner's indices to the image's.
        distance: Shape (n, t): length of the difference of the two beam directions,
            2 sin(α/2); nan where the search had no directions.
    """

    image: np.ndarray
    n_common: np.ndarray
    operator: np.ndarray
    distance: np.ndarray


def _empty(n: int, top: int) -> Partners:
    return Partners(
        image=np.full((n, top), -1, dtype=np.int32),
        n_common=np.zeros((n, top), dtype=np.int32),
        operator=np.zeros((n, top), dtype=np.int16),
        distance=np.full((n, top), np.nan),
    )


def _blocks(n: int, progress: bool):
    starts = range(0, n, BLOCK)
    # disable=None: silent where standard error is no terminal.
    bar = tqdm(starts, desc="Matching images", disable=None if progress else True)
    return ((start, min(start + BLOCK, n)) for start in bar)


def find_partners(
    indptr: np.ndarray,
    column: np.ndarray,
    permutation: np.ndarray,
    top: int = 10,
    min_common: int = 1,
    group: np.ndarray | None = None,
    beam: np.ndarray | None = None,
    reciprocal: np.ndarray | None = None,
    on_directions: np.ndarray | None = None,
    wavelength: float = 0.0,
    nproc: int | None = None,
    progress: bool = False,
    method: str = "auto",
) -> Partners:
    """
    Find the images that share most indices with each image.

    The order of partners is by the number of common indices, then by the angle between
    the beam directions (where known), then by number. An image counts once, with the
    operator that gives it its best place.

    Args:
        indptr: Shape (n + 1,), int64; rows of the incidence matrix.
        column: Shape (m,), int32, each column once in a row.
        permutation: Shape (operators, columns), int32.
        top: Partners wanted of each image.
        min_common: Fewest indices in common.
        group: Shape (n,): images of one group (a crystal) are not compared; they
            follow one another. None compares all.
        beam: Shape (n, 3), unit vectors along the beam in the crystal frame; None for
            a search without geometry.
        reciprocal: Shape (columns, 3) [Å⁻¹], needed with beam.
        on_directions: Shape (operators, 3, 3), needed with beam.
        wavelength: [Å]; sharpens the search, any value gives the same result.
        nproc: Threads; all cores by default.
        progress: Show a progress bar on a terminal.
        method: "counter", "geometry" (with beam), or "auto" for what will be faster:
            the result is the same.

    Returns:
        The partners.

    Raises:
        ValueError: top or min_common below 1.
    """
    if top < 1 or min_common < 1:
        raise ValueError(f"top={top} and min_common={min_common} must be at least 1")
    n = len(indptr) - 1
    partners = _empty(n, min(top, max(n - 1, 1)))
    if n < 2:
        return partners
    group = np.arange(n) if group is None else group
    rows = Rows(
        np.ascontiguousarray(indptr, dtype=np.int64),
        np.ascontiguousarray(column, dtype=np.int32),
        np.ascontiguousarray(permutation, dtype=np.int32),
        np.ascontiguousarray(group, dtype=np.int32),
        min_common,
    )
    beam = np.empty((0, 3)) if beam is None else beam
    if on_directions is None:
        on_directions = np.empty((len(rows.permutation), 3, 3))
    beam = np.ascontiguousarray(beam, dtype=np.float64)
    on_directions = np.ascontiguousarray(on_directions, dtype=np.float64)
    best = Best(*vars(partners).values())
    with limited_threads(nproc) as threads:
        search = None
        if len(beam) and method != "counter":
            search = _choose_search(
                rows, beam, reciprocal, on_directions, wavelength, best, method
            )
        if search is None:
            _count(rows, beam, on_directions, best, threads, progress)
        else:
            for first, stop in _blocks(n, progress):
                search_block(first, stop, rows, *search, best)
    if not len(beam):
        partners.distance[:] = np.nan
    return partners


def _count(rows, beam, on_directions, best, threads, progress):
    """Count over the images that have each column."""
    n, n_columns = len(rows.indptr) - 1, rows.permutation.shape[1]
    images = np.empty(len(rows.column), dtype=np.uint16 if n < 2**16 else np.uint32)
    start = invert(rows.column, rows.indptr, n_columns, images)
    # A partner's column c is mapped to permutation[g, c]; from the image we go back.
    inverse = np.argsort(rows.permutation, axis=1).astype(np.int32)
    longest = int(np.diff(rows.indptr).max())
    counts = np.zeros((threads, n), dtype=np.uint8 if longest < 256 else np.uint32)
    for first, stop in _blocks(n, progress):
        count_block(
            first, stop, rows, inverse, start, images, beam, on_directions, counts, best
        )


def _counts_needed(rows: Rows) -> int:
    """Steps of the counter: for each operator, pairs of entries in equal columns."""
    count = np.bincount(rows.column, minlength=rows.permutation.shape[1])
    return int(sum(count @ count[p] for p in rows.permutation))


def _choose_search(rows, beam, reciprocal, on_directions, wavelength, best, method):
    """
    Prepare the search with geometry, or return None where counting is faster.

    The cost of counting is known beforehand, that of the search is tried on some
    images; what the trial writes into ``best`` is overwritten later.
    """
    counting = _counts_needed(rows) * COUNT_SECONDS
    if method == "auto" and counting < TRIAL_SECONDS:
        return None
    reciprocal = np.ascontiguousarray(reciprocal, dtype=np.float64)
    grid = Grid(*build_grid(beam, on_directions))
    half = 0.5 * wavelength
    limits = excitation_limits(
        rows.indptr, rows.column, beam, reciprocal, half, rows.permutation
    )
    shift = (half * (reciprocal**2).sum(axis=1)).astype(np.float32)
    search = (Geometry(beam, reciprocal, *limits, shift), grid)
    if method == "auto":
        n = len(beam)
        first = n // 2
        stop = min(first + TRIAL, n)
        start = time.perf_counter()
        search_block(first, stop, rows, *search, best)
        if counting < (time.perf_counter() - start) * n / (stop - first):
            return None
    return search
