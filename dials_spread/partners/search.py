"""
The compiled search that goes outwards in angle and skips what cannot be better.

See bounds for why the result is exact. Where an image shares so little with its
neighbours that too much of the sphere would have to be searched, its partners are
counted instead: no image costs much more than by the cheaper way.
"""

from __future__ import annotations

import math
from collections import namedtuple

import numba as nb
import numpy as np

from dials_spread.partners.bounds import (
    BINS,
    SECTORS,
    insert,
    mark_sectors,
    ring_bound,
    sector_of,
)
from dials_spread.partners.counter import count_image, steps_needed
from dials_spread.partners.tally import new_tally

FEW = 24
"""So many points in a ring are tried without asking for the bound."""

FIRST = 2.0
"""Points wanted in the first disc, for each partner wanted."""

RATIO = 1.6
"""A ring whose angles differ by less is not divided further, but where many points are
to be tried."""

THIN_RATIO = 1.1
"""A ring whose angles differ by less is never divided."""

MANY_POINTS = 300
"""Trying so many points takes longer than to ask for the bounds of two narrower rings.
"""

POINT_STEPS = 50
"""Steps of the counter that take as long as to try one point."""

OVERLAP = 1e-12
"""Adjoining rings share this much of squared chord, so that rounding loses nothing."""

Rows = namedtuple("Rows", "indptr column permutation group min_common")
"""The incidence matrix, its operators, and which images are not compared."""

Geometry = namedtuple("Geometry", "beam on_directions reciprocal e low high shift")
"""Beam of each image; operators; g of each column; e of each entry, and by column its
limits and λ|g|²/2 [Å⁻¹]."""

Best = namedtuple("Best", "partners commons operators distances")
"""The result, one row an image."""

Scratch = namedtuple(
    "Scratch", "mark e low high shift across centre depth lows highs sectors chosen"
)
"""What a thread needs for one image: 0 or 1 by column; the geometry of its entries; the
depth of arcs; the rings still to be searched; by sector whether an image there can be
better; and the points of a band that are tried."""


@nb.njit(cache=True)
def _new_scratch(rows, n_columns, grid):
    longest = 0
    for i in range(len(rows.indptr) - 1):
        longest = max(longest, rows.indptr[i + 1] - rows.indptr[i])
    in_a_band = grid.start[grid.first_cell[1:]] - grid.start[grid.first_cell[:-1]]
    return Scratch(
        np.zeros(n_columns, dtype=np.uint8),
        np.empty(longest),
        np.empty(longest),
        np.empty(longest),
        np.empty(longest),
        np.empty(longest),
        np.empty(longest),
        np.zeros(BINS + 1, dtype=np.int32),
        np.empty(64),
        np.empty(64),
        np.ones(SECTORS, dtype=np.uint8),
        np.empty(in_a_band.max(), dtype=np.int32),
    )


@nb.njit(cache=True)
def _prepare(i, rows, geometry, scratch):
    """
    Mark the image's columns; find length and direction of each g across the beam.

    Returns how many there are, and the beam and two directions across it.
    """
    b = geometry.beam[i]
    # Any vector that is not along the beam serves to span the plane across it.
    if abs(b[0]) < 0.6:
        u0, u1, u2 = 0.0, b[2], -b[1]
    else:
        u0, u1, u2 = -b[2], 0.0, b[0]
    norm = math.sqrt(u0 * u0 + u1 * u1 + u2 * u2)
    u0, u1, u2 = u0 / norm, u1 / norm, u2 / norm
    v0 = b[1] * u2 - b[2] * u1
    v1 = b[2] * u0 - b[0] * u2
    v2 = b[0] * u1 - b[1] * u0
    unit = BINS / (2 * math.pi)
    k = 0
    for q in range(rows.indptr[i], rows.indptr[i + 1]):
        c = rows.column[q]
        scratch.mark[c] = 1
        scratch.e[k] = geometry.e[q]
        scratch.low[k] = geometry.low[c]
        scratch.high[k] = geometry.high[c]
        scratch.shift[k] = geometry.shift[c]
        g = geometry.reciprocal[c]
        right = g[0] * u0 + g[1] * u1 + g[2] * u2
        up = g[0] * v0 + g[1] * v1 + g[2] * v2
        scratch.across[k] = math.sqrt(right * right + up * up)
        # The bins run from 0 to BINS, the arc tangent from -π to π.
        scratch.centre[k] = (math.atan2(up, right) + math.pi) * unit
        k += 1
    # Numbers, not an array: numba counts the references to arrays at every call.
    return k, (b[0], b[1], b[2], u0, u1, u2, v0, v1, v2)


@nb.njit(cache=True)
def _count_common(j, op, rows, mark):
    common = 0
    if op == 0:
        for q in range(rows.indptr[j], rows.indptr[j + 1]):
            common += mark[rows.column[q]]
    else:
        for q in range(rows.indptr[j], rows.indptr[j + 1]):
            common += mark[rows.permutation[op, rows.column[q]]]
    return common


@nb.njit(cache=True)
def _choose_points(first, stop, sign, low, high, directions, frame, sectors, chosen, n):
    """
    Choose points that lie in a ring and in a marked sector.

    Args:
        first: First of the points to be looked at.
        stop: One past the last.
        sign: -1 where the ring is about the direction opposite to the beam.
        low: Squared chord from there of the inner circle.
        high: Of the outer one.
        directions: Of all points.
        frame: The beam and two directions across it.
        sectors: Which are marked.
        chosen: Numbers of the points are added here.
        n: How many it holds.

    Returns:
        How many it holds now.
    """
    b0, b1, b2, u0, u1, u2, v0, v1, v2 = frame
    for p in range(first, stop):
        x = directions[p, 0] - sign * b0
        y = directions[p, 1] - sign * b1
        z = directions[p, 2] - sign * b2
        chord = x * x + y * y + z * z
        if chord < low or chord > high:
            continue
        right = x * u0 + y * u1 + z * u2
        up = x * v0 + y * v1 + z * v2
        if sectors[sector_of(right, up)]:
            chosen[n] = p
            n += 1
    return n


@nb.njit(cache=True)
def _try_points(chosen, i, rows, b, grid, mark, best, filled):
    """Count the indices shared with the images that were chosen."""
    m = len(rows.permutation)
    top = best.partners.shape[1]
    for p in chosen:
        j, op = grid.order[p] // m, grid.order[p] % m
        if rows.group[j] == rows.group[i]:
            continue
        least = rows.min_common
        if filled == top:
            least = max(least, best.commons[i, top - 1])
        if rows.indptr[j + 1] - rows.indptr[j] < least:
            continue
        common = _count_common(j, op, rows, mark)
        if common < least:
            continue
        x = grid.directions[p, 0] - b[0]
        y = grid.directions[p, 1] - b[1]
        z = grid.directions[p, 2] - b[2]
        distance = math.sqrt(x * x + y * y + z * z)
        # Adjoining rings overlap: the same point may have been tried before.
        filled = insert(i, best, filled, j, op, common, distance, True)
    return filled


@nb.njit(cache=True)
def _inside(theta, edge, near):
    """
    Say how far in longitude from the middle of a disc a parallel stays within it.

    Args:
        theta: Polar angle of the middle [rad].
        edge: Of the parallel.
        near: Radius of the disc, below π / 2.

    Returns:
        The half width [rad]; 0 where the parallel is outside.
    """
    across = math.sin(theta) * math.sin(edge)
    if across < 1e-9:
        return 0.0
    x = (math.cos(near) - math.cos(theta) * math.cos(edge)) / across
    return math.acos(min(max(x, -1.0), 1.0))


@nb.njit(cache=True)
def _try_ring(
    i, ring_low, ring_high, rows, grid, mark, frame, sectors, chosen, best, filled
):
    """Count the indices shared with images in marked sectors of a ring about the beam."""
    # Beyond the equator the grid is searched about the opposite direction.
    sign, near, far = 1.0, ring_low, ring_high
    if ring_low >= math.pi / 2 - 1e-9:
        sign, near, far = -1.0, math.pi - ring_high, math.pi - ring_low
    low = 4 * math.sin(near / 2) ** 2 - OVERLAP
    high = 4 * math.sin(far / 2) ** 2 + OVERLAP
    b = frame[:3]
    inside = max(near - 1e-6, 0.0)
    n_bands = len(grid.cells_in_band)
    theta = math.acos(min(max(sign * b[2], -1.0), 1.0))
    phi = math.atan2(sign * b[1], sign * b[0]) + math.pi
    reach = far + 1e-6
    height = math.pi / n_bands
    spread = math.pi
    if reach < theta and theta + reach < math.pi and reach < math.pi / 2:
        spread = math.asin(min(1.0, math.sin(reach) / math.sin(theta))) + 1e-6
    band_first = max(0, int((theta - reach) / height))
    band_last = min(n_bands - 1, int((theta + reach) / height))
    for band in range(band_first, band_last + 1):
        cells = grid.cells_in_band[band]
        unit = cells / (2 * math.pi)
        cell_first = int(math.floor((phi - spread) * unit))
        n_visit = min(int(math.floor((phi + spread) * unit)) - cell_first + 1, cells)
        # Cells within the inner circle are at once left out: along a meridian a disc is
        # convex, so that what holds for both edges of the band holds between them.
        inner = min(
            _inside(theta, band * height, inside),
            _inside(theta, (band + 1) * height, inside),
        )
        skip_first = max(int(math.floor((phi - inner) * unit)) + 1 - cell_first, 0)
        skip_last = int(math.floor((phi + inner) * unit)) - 1 - cell_first
        if skip_first > skip_last:
            skip_first = skip_last = 0
        else:
            skip_last += 1
        n = 0
        for from_cell, to_cell in ((0, skip_first), (skip_last, n_visit)):
            # Cells follow one another, and so do their points, up to the band's end.
            while from_cell < to_cell:
                place = (cell_first + from_cell) % cells
                n_cells = min(to_cell - from_cell, cells - place)
                place += grid.first_cell[band]
                n = _choose_points(
                    *(grid.start[place], grid.start[place + n_cells], sign, low, high),
                    *(grid.directions, frame, sectors, chosen, n),
                )
                from_cell += n_cells
        if n > 0:
            filled = _try_points(chosen[:n], i, rows, b, grid, mark, best, filled)
    return filled


@nb.njit(cache=True)
def _divide(low, high, floor):
    """Where to cut a ring: at the equator, else by the geometric mean from the pole."""
    if low < math.pi / 2 - 1e-9 and high > math.pi / 2 + 1e-9:
        return math.pi / 2
    if high <= math.pi / 2 + 1e-9:
        return math.sqrt(max(low, floor) * high)
    return math.pi - math.sqrt(max(math.pi - high, floor) * (math.pi - low))


@nb.njit(cache=True)
def _is_thin(low, high, floor, ratio):
    if high <= math.pi / 2 + 1e-9:
        return high <= ratio * max(low, floor)
    if low >= math.pi / 2 - 1e-9:
        return math.pi - low <= ratio * max(math.pi - high, floor)
    return False


@nb.njit(cache=True)
def _search_image(
    i, rows, geometry, grid, index, scratch, tally, best, floor, point_steps
):
    """Search the sphere about one beam direction, the nearest ring first."""
    top = best.partners.shape[1]
    n_spots, frame = _prepare(i, rows, geometry, scratch)
    steps_left = steps_needed(i, rows, index)
    filled = 0
    lows, highs, sectors = scratch.lows, scratch.highs, scratch.sectors
    lows[0], highs[0] = floor, math.pi
    lows[1], highs[1] = 0.0, floor
    waiting = 2
    while waiting > 0:
        waiting -= 1
        low, high = lows[waiting], highs[waiting]
        points = 0.5 * (math.cos(low) - math.cos(high)) * len(grid.order)
        if low > 0 and points > FEW:
            enough = rows.min_common
            if filled == top:
                enough = max(enough, best.commons[i, top - 1] + 1)
            if ring_bound(n_spots, scratch, low, high, enough) < enough:
                continue
            points *= mark_sectors(scratch.depth, enough, sectors)
            ratio = THIN_RATIO if points > MANY_POINTS else RATIO
            if not _is_thin(low, high, floor, ratio) and waiting < 62:
                middle = _divide(low, high, floor)
                lows[waiting], highs[waiting] = middle, high
                lows[waiting + 1], highs[waiting + 1] = low, middle
                waiting += 2
                continue
        else:
            sectors[:] = 1
        steps_left -= points * point_steps
        if steps_left < 0:
            beam, operators = geometry.beam, geometry.on_directions
            count_image(i, rows, index, tally, beam, operators, best, filled)
            break
        filled = _try_ring(
            *(i, low, high, rows, grid, scratch.mark, frame, sectors),
            *(scratch.chosen, best, filled),
        )
    for q in range(rows.indptr[i], rows.indptr[i + 1]):
        scratch.mark[rows.column[q]] = 0


@nb.njit(cache=True, nogil=True)
def search_images(
    first, stop, visit, rows, geometry, grid, index, narrow, best, point_steps
):
    """
    Fill the partners of images visit[first] to visit[stop - 1].

    Args:
        first: First image.
        stop: One past the last.
        visit: Shape (n,), images in order of place on the sphere: neighbours try the
            same images, which are then still in the cache.
        rows: The incidence matrix.
        geometry: Beam directions and excitation errors.
        grid: All beam directions, sorted by place.
        index: For images that are counted.
        narrow: As for tally.new_tally.
        best: Filled by this function.
        point_steps: POINT_STEPS, or 0 where no image is to be counted.
    """
    density = len(grid.order) / (4 * math.pi)
    wanted = FIRST * best.partners.shape[1]
    floor = min(math.sqrt(wanted / (math.pi * density)), 1.0)
    n_columns = len(geometry.reciprocal)
    scratch = _new_scratch(rows, n_columns, grid)
    tally = new_tally(len(rows.indptr) - 1, n_columns, narrow)
    for i in visit[first:stop]:
        _search_image(
            i, rows, geometry, grid, index, scratch, tally, best, floor, point_steps
        )
