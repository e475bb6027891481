"""
The exact best partners of every image.

With beam directions the search goes outwards in angle and skips what cannot be better
(see bounds); without them a counter over an inverted index remains. Both
give what brute force gives.

Functions:
    find_partners: by either way
    partners_of, forget: of some images, by a worker of a cluster, and its end
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dials_spread import cluster
from dials_spread.freed_memory import give_back
from dials_spread.partners.bounds import excitation_limits
from dials_spread.partners.counter import Index, count_images, invert
from dials_spread.partners.grid import build_grid
from dials_spread.partners.search import (
    POINT_STEPS,
    Best,
    Geometry,
    Rows,
    search_images,
)
from dials_spread.partners.tally import narrow_type
from dials_spread.stages import stage
from dials_spread.threads import run_blocks

STEP_SECONDS = 2e-9
"""What one step of the counter takes, roughly."""

SEARCH_SECONDS = 1e-4
"""What the search takes for an image, roughly; counts up to this are made without looking
at the geometry. Measured, of 40 indices: 20,000 images with eight operators 0.11 ms each
by counting and 0.12 by searching, 100,000 0.45 and 0.08, a million 0.07 by searching."""

BLOCK = 2048
"""Images that a thread takes at once."""

TASK = 8192
"""Images that a worker of a cluster takes at once."""


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


@dataclass(frozen=True)
class ImageDirections:
    """
    Where the beam runs on each image: what lets the search be quick.

    Attributes:
        beam: Shape (n, 3), unit vectors along the beam in the crystal frame.
        reciprocal: Shape (columns, 3) [Å⁻¹], Cartesian, of each column.
        on_directions: Shape (operators, 3, 3), the operators in that frame.
        wavelength: [Å]; sharpens the search, any value gives the same result.
    """

    beam: np.ndarray
    reciprocal: np.ndarray
    on_directions: np.ndarray
    wavelength: float = 0.0


def find_partners(
    indptr: np.ndarray,
    column: np.ndarray,
    permutation: np.ndarray,
    directions: ImageDirections | None = None,
    top: int = 10,
    min_common: int = 1,
    group: np.ndarray | None = None,
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
        directions: Of the beam; None for a search without geometry.
        top: Partners wanted of each image.
        min_common: Fewest indices in common.
        group: Shape (n,): images of one group (a crystal) are not compared; they
            follow one another. None compares all.
        nproc: Threads; all cores by default.
        progress: Show a progress bar on a terminal.
        method: "counter"; "geometry" (with directions), which counts for an image where
            searching would take longer; "search", which never does; or "auto" for what
            will be faster. The result is the same.

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
    rows = Rows(
        np.ascontiguousarray(indptr, dtype=np.int64),
        np.ascontiguousarray(column, dtype=np.int32),
        np.ascontiguousarray(permutation, dtype=np.int32),
        np.ascontiguousarray(np.arange(n) if group is None else group, dtype=np.int32),
        min_common,
    )
    fill = _fill_on_workers if cluster.in_use() else _fill_here
    fill(rows, directions, partners, method, nproc, progress)
    if directions is None:
        partners.distance[:] = np.nan
    return partners


def _fill_here(rows, directions, partners: Partners, method, nproc, progress) -> None:
    """Fill the partners by threads."""
    fill, _ = _choose(rows, directions, _compiled(partners), method)
    title, n = "Matching images" if progress else None, len(partners.image)
    block = max(1, min(BLOCK, n // 32))  # so that no thread waits long for the last one
    run_blocks(fill, n, block, nproc, title, lambda: fill(0, 0))


@stage("Matching images")
def _fill_on_workers(rows, directions, partners: Partners, method, *_) -> None:
    """Fill the partners by tasks, each of a range of images."""
    n, top = partners.image.shape
    shared = (tuple(rows), directions, top, method)
    tasks = [(first, min(first + TASK, n)) for first in range(0, n, TASK)]
    for images, found in cluster.map_on_workers(partners_of, shared, tasks):
        for name, values in found.items():
            getattr(partners, name)[images] = values


_prepared: tuple = (None, None)
"""What the tasks of a worker share, and what was made of it."""


def partners_of(shared: tuple, task: tuple[int, int]) -> tuple[np.ndarray, dict]:
    """
    Find the partners of some images: a task for another process.

    Args:
        shared: Rows, directions, number of partners, and method.
        task: First and last but one of the images, in the order of the search.

    Returns:
        The images, and what Partners has of them by name.
    """
    global _prepared
    if _prepared[0] is not shared:
        rows, directions, top, method = shared
        rows = Rows(*rows)
        partners = _empty(len(rows.indptr) - 1, top)
        chosen = _choose(rows, directions, _compiled(partners), method)
        _prepared = (shared, (partners, *chosen))
    partners, fill, visit = _prepared[1]
    first, stop = task
    fill(first, stop)
    images = np.arange(first, stop) if visit is None else visit[first:stop]
    names = ("image", "n_common", "operator", "distance")
    return images, {name: getattr(partners, name)[images] for name in names}


def forget() -> None:
    """Let go of what the tasks of a worker share: it is large, and nothing else frees it."""
    global _prepared
    _prepared = (None, None)
    give_back()


def _compiled(partners: Partners) -> Best:
    """The arrays as compiled code takes them."""
    return Best(partners.image, partners.n_common, partners.operator, partners.distance)


def _choose(rows, directions, best, method):
    """
    Give a function that fills the partners of a range of images, and the order in which
    it takes images where that is not that of their numbers.
    """
    index = _invert(rows)
    longest = np.diff(rows.indptr).max(initial=0)
    narrow = narrow_type(int(longest))
    beam, operators = np.empty((0, 3)), np.empty((len(index.inverse), 3, 3))
    if directions is not None:
        beam = np.ascontiguousarray(directions.beam, dtype=np.float64)
        operators = np.ascontiguousarray(directions.on_directions, dtype=np.float64)
    if method == "auto":
        quick = _steps(rows) * STEP_SECONDS < SEARCH_SECONDS * len(best.partners)
        method = "counter" if quick else "geometry"
    if directions is None or method == "counter":

        def count(first, stop):
            count_images(first, stop, rows, index, beam, operators, narrow, best)

        return count, None
    geometry = _describe_geometry(rows, directions, beam, operators)
    grid = build_grid(beam, operators)
    m = len(operators)
    point_steps = 0 if method == "search" else POINT_STEPS
    visit = (grid.order[grid.order % m == 0] // m).astype(np.int64)

    def search(first, stop):
        search_images(
            first, stop, visit, rows, geometry, grid, index, narrow, best, point_steps
        )

    return search, visit


def _invert(rows: Rows) -> Index:
    """Invert the operators and list the images that have each column."""
    n, n_columns = len(rows.indptr) - 1, rows.permutation.shape[1]
    images = np.empty(len(rows.column), dtype=np.uint16 if n < 2**16 else np.uint32)
    start = invert(rows.column, rows.indptr, n_columns, images)
    # A partner's column c is mapped to permutation[g, c]; from the image we go back.
    inverse = np.argsort(rows.permutation, axis=1).astype(np.int32)
    return Index(inverse, start, images)


def _steps(rows: Rows) -> int:
    """Steps of the counter: for each operator, pairs of entries in equal columns."""
    count = np.bincount(rows.column, minlength=rows.permutation.shape[1])
    return int(sum(count @ count[p] for p in rows.permutation))


def _describe_geometry(rows, directions, beam, operators) -> Geometry:
    """Find the excitation errors, and their limits for each reflection."""
    reciprocal = np.ascontiguousarray(directions.reciprocal, dtype=np.float64)
    half = 0.5 * directions.wavelength
    e, low, high = excitation_limits(
        rows.indptr, rows.column, beam, reciprocal, half, rows.permutation
    )
    shift = (half * (reciprocal**2).sum(axis=1)).astype(np.float32)
    return Geometry(beam, operators, reciprocal, e, low, high, shift)
