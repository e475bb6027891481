"""
The compiled search for the images that share most indices with each image.

Geometry bounds what two images can share. Let index h have the reciprocal vector g and
let ``e = g·b + λ|g|²/2`` be its distance from the Ewald sphere's centre plane on an image
with beam direction b. Every observation of h and of its equivalents has e between two
limits that are known from the data. For a second image with its beam at the angle α
from the first, in the direction t across it,

    sin α (g·t) = e' - e cos α - (1 - cos α) λ|g|²/2,

so an index of the first image can be on the second only where g·t lies in a narrow
interval, that is, for t on two arcs. The largest number of arcs that overlap bounds the
number of common indices for all images in a ring of α. Rings that cannot beat the
partners found so far are skipped, and the result is the same as from brute force. λ and
b need not be exact: e is defined by them, and the limits hold for whatever they are.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

BINS = 128
"""Number of bins of the direction t on the full circle."""

SECTORS = 512
"""Number of sectors of the full circle that points are sorted into."""

ACOS_STEPS = 2048
ACOS = np.arccos(np.linspace(-1, 1, ACOS_STEPS + 1))
"""Arc cosine at equal steps: neighbours bracket the true value."""


def _bins_of_sectors() -> tuple[np.ndarray, np.ndarray]:
    """
    First and last bin of the direction that each sector reaches into.

    A sector is an equal step of sector_of's measure of direction; 1e-6 of a bin more on
    either side is for the rounding of directions.
    """
    corner = np.arange(SECTORS + 1) * (4 / SECTORS)
    x = np.where(corner <= 2, 1 - corner, corner - 3)
    y = 1 - np.abs(x)
    angle = np.arctan2(np.where(corner <= 2, y, -y), x) % (2 * math.pi)
    angle[-1] = 2 * math.pi
    # Bins run from -π.
    place = angle * (BINS / (2 * math.pi)) + BINS / 2
    first = np.floor(place[:-1] - 1e-6).astype(np.int64)
    last = np.floor(place[1:] + 1e-6).astype(np.int64)
    return first, last


FIRST_BIN, LAST_BIN = _bins_of_sectors()

SLACK = 1e-7
"""Added to every interval [Å⁻¹], against rounding."""


@nb.njit(cache=True)
def better(n, distance, partner, n2, distance2, partner2):
    """Order of partners: common indices, then angle, then number."""
    if n != n2:
        return n > n2
    if distance != distance2:
        return distance < distance2
    return partner < partner2


@nb.njit(cache=True)
def insert(i, best, filled, j, op, n, distance, stands):
    """
    Put a candidate into the sorted list of one image's best partners.

    A partner stands there once, with its best operator.

    Args:
        i: The image.
        best: Arrays partners, commons, operators and distances, shape (images, top).
        filled: Number of places that are filled.
        j: The candidate.
        op: Its operator.
        n: Indices in common.
        distance: Between the beam directions.
        stands: Whether the candidate may stand in the list, with another operator.

    Returns:
        The number of places that are filled now.
    """
    top = best.partners.shape[1]
    if filled == top and not better(
        n,
        distance,
        j,
        best.commons[i, top - 1],
        best.distances[i, top - 1],
        best.partners[i, top - 1],
    ):
        return filled
    place = filled
    for p in range(filled if stands else 0):
        if best.partners[i, p] == j:
            if not better(n, distance, j, best.commons[i, p], best.distances[i, p], j):
                return filled
            place = p
            break
    if place == filled:
        if filled == top:
            place = top - 1
        else:
            filled += 1
    while place > 0 and better(
        n,
        distance,
        j,
        best.commons[i, place - 1],
        best.distances[i, place - 1],
        best.partners[i, place - 1],
    ):
        best.partners[i, place] = best.partners[i, place - 1]
        best.commons[i, place] = best.commons[i, place - 1]
        best.operators[i, place] = best.operators[i, place - 1]
        best.distances[i, place] = best.distances[i, place - 1]
        place -= 1
    best.partners[i, place] = j
    best.commons[i, place] = n
    best.operators[i, place] = op
    best.distances[i, place] = distance
    return filled


@nb.njit(cache=True)
def excitation_limits(indptr, column, beam, reciprocal, half_wavelength, permutation):
    """
    Find the excitation of every entry, and its limits for every set of equivalents.

    Returns e for the entries, and the lowest and highest e of each column.
    """
    n_columns = len(reciprocal)
    e = np.empty(len(column), dtype=np.float32)
    low = np.full(n_columns, np.inf, dtype=np.float32)
    high = np.full(n_columns, -np.inf, dtype=np.float32)
    for i in range(len(indptr) - 1):
        b0, b1, b2 = beam[i, 0], beam[i, 1], beam[i, 2]
        for q in range(indptr[i], indptr[i + 1]):
            c = column[q]
            x, y, z = reciprocal[c, 0], reciprocal[c, 1], reciprocal[c, 2]
            value = x * b0 + y * b1 + z * b2
            value += half_wavelength * (x * x + y * y + z * z)
            e[q] = value
            low[c] = min(low[c], np.float32(value))
            high[c] = max(high[c], np.float32(value))
    all_low, all_high = low.copy(), high.copy()
    for op in range(len(permutation)):
        for c in range(n_columns):
            all_low[c] = min(all_low[c], low[permutation[op, c]])
            all_high[c] = max(all_high[c], high[permutation[op, c]])
    return e, all_low, all_high


@nb.njit(cache=True)
def _add_arc(depth, start, stop):
    """Mark bins start to stop (inclusive, start within the circle's reach)."""
    if stop - start + 1 >= BINS:
        depth[0] += 1
        return
    start %= BINS
    stop %= BINS
    depth[start] += 1
    depth[stop + 1] -= 1
    if stop < start:
        depth[0] += 1


@nb.njit(cache=True)
def _acos_bins(x):
    """Bracket arccos x, |x| < 1, in units of bins: not above, not below."""
    k = int((x + 1) * (0.5 * ACOS_STEPS))
    k = min(max(k, 0), ACOS_STEPS - 1)
    unit = BINS / (2 * math.pi)
    return ACOS[k + 1] * unit, ACOS[k] * unit


@nb.njit(cache=True)
def _mark_arcs(depth, centre, low, high):
    """
    Mark where cos(φ - centre) lies between low and high; centre in units of bins.

    Returns whether there is such a direction.
    """
    if low > 1 or high < -1 or low > high:
        return False
    if high >= 1 and low <= -1:
        depth[0] += 1
        return True
    if high >= 1:
        reach = _acos_bins(low)[1]
        _add_arc(depth, math.floor(centre - reach), math.floor(centre + reach))
    elif low <= -1:
        gap = _acos_bins(high)[0]
        _add_arc(depth, math.floor(centre + gap), math.floor(centre + BINS - gap))
    else:
        near = _acos_bins(high)[0]
        far = _acos_bins(low)[1]
        _add_arc(depth, math.floor(centre + near), math.floor(centre + far))
        _add_arc(depth, math.floor(centre - far), math.floor(centre - near))
    return True


@nb.njit(cache=True)
def ring_bound(n_spots, image, alpha_low, alpha_high, enough):
    """
    Bound the number of indices that an image shares with any in a ring.

    Args:
        n_spots: Number of indices on the image.
        image: Arrays with an element for each: e and its limits low and high [Å⁻¹],
            shift = λ|g|²/2 [Å⁻¹], the length of g across the beam [Å⁻¹] and its
            direction, centre, in units of bins; and depth, shape (BINS + 1,), to work
            in.
        alpha_low: Inner radius of the ring [rad].
        alpha_high: Outer radius [rad].
        enough: A bound below this need not be tight.

    Returns:
        At least as many as any image in the ring can share; where that is enough,
        ``image.depth`` holds the same for each bin of directions, but for the last.
    """
    cos_low, cos_high = math.cos(alpha_low), math.cos(alpha_high)
    sin_low, sin_high = math.sin(alpha_low), abs(math.sin(alpha_high))
    sin_min = max(min(sin_low, sin_high), 1e-12)
    sin_max = max(sin_low, sin_high)
    if alpha_low < math.pi / 2 < alpha_high:
        sin_max = 1.0
    depth = image.depth
    depth[:] = 0
    possible = 0
    for k in range(n_spots):
        first, second = image.e[k] * cos_low, image.e[k] * cos_high
        low = image.low[k] - max(first, second) - image.shift[k] * (1 - cos_high)
        high = image.high[k] - min(first, second) - image.shift[k] * (1 - cos_low)
        low, high = low - SLACK, high + SLACK
        low /= sin_min if low < 0 else sin_max
        high /= sin_min if high > 0 else sin_max
        length = image.across[k]
        if length < 1e-9:
            depth[0] += 1
            possible += 1
        elif _mark_arcs(depth, image.centre[k], low / length, high / length):
            possible += 1
    if possible < enough:
        return possible
    best, running = 0, 0
    for m in range(BINS):
        running += depth[m]
        depth[m] = running
        best = max(best, running)
    return min(best, possible)


@nb.njit(cache=True)
def sector_of(right, up):
    """
    Give the sector of a direction: steps of a measure that rises with the angle.

    The measure, from 0 to 4, is how far along the square |x| + |y| = 1 the direction
    cuts it; it takes a division where the angle takes an arc tangent.
    """
    size = abs(right) + abs(up)
    if size == 0.0:
        return 0
    measure = 1 - right / size if up >= 0 else 3 + right / size
    return min(int(measure * (SECTORS / 4)), SECTORS - 1)


@nb.njit(cache=True)
def mark_sectors(depth, enough, sectors):
    """
    Mark the sectors where an image of a ring can share enough.

    Args:
        depth: As ring_bound leaves it.
        enough: Number of indices.
        sectors: Shape (SECTORS,), set to 0 or 1.

    Returns:
        The share of sectors that are marked.
    """
    marked = 0
    for s in range(SECTORS):
        sectors[s] = 0
        for m in range(FIRST_BIN[s], LAST_BIN[s] + 1):
            if depth[m % BINS] >= enough:
                sectors[s] = 1
        marked += sectors[s]
    return marked / SECTORS
