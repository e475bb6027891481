"""
Time the search for the best partners of every image against plain ways to do it.

Usage::

    python benchmarks/compare_images.py [--images 12000] [--large 1000000]

Images are made from the geometry of a P 21 21 21 cell (a = 5.5, b = 12.7, c = 20.1 Å,
electrons of 0.0251 Å, 0.95 Å resolution): beam directions spread over the sphere at
random, and on each image the indices within 0.0041 Å⁻¹ of the Ewald sphere, about 40.
Every way gives the ten images that share most indices with each, and is checked against
the others. Figures of one run are printed side by side; nothing is asserted about time.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

import numba as nb
import numpy as np
import scipy.sparse

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cctbx import sgtbx, uctbx  # noqa: E402

from dials_spread.incidence import close_under
from dials_spread.orientation import reciprocal_basis
from dials_spread.partners import ImageDirections, find_partners
from dials_spread.symmetry import laue_operators
from dials_spread.threads import run_blocks

WAVELENGTH = 0.0251
D_MIN = 0.95
HALF_THICKNESS = 0.0041
TOP = 10
MOST = 400
"""More indices than any image has."""


def lattice(cell, space_group):
    """Columns, permutations, reciprocal vectors and operators of a crystal."""
    unit_cell = uctbx.unit_cell(cell)
    basis = reciprocal_basis(unit_cell)
    operators = laue_operators(sgtbx.space_group_info(space_group).group(), basis, True)
    h_max = unit_cell.max_miller_indices(D_MIN)
    hkl = np.stack(np.meshgrid(*[np.arange(-m, m + 1) for m in h_max]), -1).reshape(
        -1, 3
    )
    length = np.linalg.norm(hkl @ basis.T, axis=1)
    hkl = hkl[(length > 0) & (length < 1 / D_MIN)]
    closed, permutation = close_under(hkl, operators)
    return permutation, closed @ basis.T, operators.on_directions


@nb.njit(cache=True, nogil=True)
def _excited(beam, reciprocal, out, counts):
    """Indices near the Ewald sphere."""
    for i in range(len(beam)):
        n = 0
        for c in range(len(reciprocal)):
            x, y, z = reciprocal[c]
            e = x * beam[i, 0] + y * beam[i, 1] + z * beam[i, 2]
            e += 0.5 * WAVELENGTH * (x * x + y * y + z * z)
            if abs(e) < HALF_THICKNESS and n < out.shape[1]:
                out[i, n] = c
                n += 1
        counts[i] = n


def make_images(n, reciprocal, rng):
    """Rows of the incidence matrix of n images, and their beam directions."""
    beam = rng.normal(size=(n, 3))
    beam /= np.linalg.norm(beam, axis=1, keepdims=True)
    out = np.empty((n, MOST), dtype=np.int16)
    counts = np.zeros(n, dtype=np.int64)

    def fill(first, stop):
        _excited(beam[first:stop], reciprocal, out[first:stop], counts[first:stop])

    run_blocks(fill, n, 2048)
    column = np.empty(counts.sum(), dtype=np.int32)
    indptr = np.concatenate([[0], np.cumsum(counts)])
    _pack(out, counts, indptr, column)
    return indptr, column, beam


@nb.njit(cache=True)
def _pack(out, counts, indptr, column):
    for i in range(len(counts)):
        for k in range(counts[i]):
            column[indptr[i] + k] = out[i, k]


def by_scipy(indptr, column, permutation):
    """A @ A.T for every operator, then the ten best of each row."""
    n, n_columns = len(indptr) - 1, permutation.shape[1]
    ones = np.ones(len(column), dtype=np.int32)
    a = scipy.sparse.csr_matrix((ones, column, indptr), shape=(n, n_columns))
    product = None
    for p in permutation:
        mapped = scipy.sparse.csr_matrix((ones, p[column], indptr), shape=a.shape)
        counts = a @ mapped.T
        product = counts if product is None else product.maximum(counts)
    product.setdiag(0)
    best = np.zeros((n, TOP), dtype=np.int32)
    for i in range(n):
        row = product.data[product.indptr[i] : product.indptr[i + 1]]
        if len(row) > TOP:
            row = np.partition(row, -TOP)[-TOP:]
        best[i, : len(row)] = np.sort(row)[::-1]
    return best


def by_sets(indptr, column, permutation, rows):
    """Python sets, for some rows only; the time is multiplied up."""
    n = len(indptr) - 1
    sets = [set(column[indptr[i] : indptr[i + 1]].tolist()) for i in range(n)]
    best = np.zeros((len(rows), TOP), dtype=np.int32)
    for k, i in enumerate(rows):
        counts = np.zeros(n, dtype=np.int32)
        row = column[indptr[i] : indptr[i + 1]]
        for p in np.argsort(permutation, axis=1):
            mine = set(p[row].tolist())
            counts = np.maximum(counts, [len(mine & other) for other in sets])
        counts[i] = 0
        best[k] = np.sort(counts)[::-1][:TOP]
    return best


def timed(function, *args, **kwargs):
    """Run once; the result and the seconds."""
    start = time.perf_counter()
    result = function(*args, **kwargs)
    return result, time.perf_counter() - start


def compare(n, n_operators, crystal, rng):
    """All ways side by side, with the first n_operators of the Laue group."""
    permutation, reciprocal, on_directions = crystal
    permutation, on_directions = permutation[:n_operators], on_directions[:n_operators]
    indptr, column, beam = make_images(n, reciprocal, rng)
    rows = (indptr, column, permutation)
    directions = ImageDirections(beam, reciprocal, on_directions, WAVELENGTH)
    print(
        f"\n{n} images, {len(column) / n:.1f} indices each, {n_operators} operators, "
        f"{permutation.shape[1]} columns"
    )
    repeats = 5
    ours, seconds = zip(
        *[timed(find_partners, *rows, directions, TOP) for _ in range(repeats)]
    )
    t_ours = float(np.median(seconds))
    print(f"  find_partners            {t_ours:9.3f} s  (median of {repeats})")
    for method in ("counter", "geometry"):
        result, t = timed(find_partners, *rows, directions, TOP, method=method)
        assert (result.n_common == ours[0].n_common).all()
        print(f"  find_partners {method:10s} {t:9.3f} s")
    results, seconds = zip(*[timed(by_scipy, *rows) for _ in range(repeats)])
    result, t = results[0], float(np.median(seconds))
    assert (result == ours[0].n_common).all()
    print(f"  scipy.sparse A @ A.T     {t:9.3f} s  {t / t_ours:8.1f} ×")
    chosen = rng.choice(n, size=6, replace=False)
    result, t = timed(by_sets, *rows, chosen)
    assert (result == ours[0].n_common[chosen]).all()
    t *= n / len(chosen)
    print(f"  Python sets (6 rows × n/6) {t:7.1f} s  {t / t_ours:8.0f} ×")


def large(n, n_operators, crystal, rng):
    """The large set, with the memory that the process took."""
    permutation, reciprocal, on_directions = crystal
    permutation, on_directions = permutation[:n_operators], on_directions[:n_operators]
    (indptr, column, beam), t = timed(make_images, n, reciprocal, rng)
    print(
        f"\n{n} images, {len(column) / 1e6:.1f} million indices, {n_operators} "
        f"operators (made in {t:.0f} s)"
    )
    directions = ImageDirections(beam, reciprocal, on_directions, WAVELENGTH)
    begin = time.process_time()
    partners, t = timed(find_partners, indptr, column, permutation, directions, TOP)
    processor = time.process_time() - begin
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(
        f"  find_partners            {t:9.1f} s, processor {processor:.1f} s, peak memory "
        f"{memory:.2f} GiB"
    )
    rows = np.sort(rng.choice(n, size=20, replace=False))
    _check_rows(partners, rows, indptr, column, permutation)
    print("  20 rows checked against a count over all images: equal")


def _check_rows(partners, rows, indptr, column, permutation):
    for i in rows:
        best = np.zeros(len(indptr) - 1, dtype=np.int64)
        for p in np.argsort(permutation, axis=1):
            mark = np.zeros(permutation.shape[1], dtype=np.int64)
            mark[p[column[indptr[i] : indptr[i + 1]]]] = 1
            total = np.concatenate([[0], np.cumsum(mark[column])])
            best = np.maximum(best, total[indptr[1:]] - total[indptr[:-1]])
        best[i] = 0
        assert (np.sort(best)[::-1][:TOP] == partners.n_common[i]).all(), i


def main():
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--images", type=int, default=12000)
    parser.add_argument("--large", type=int, default=1000000)
    args = parser.parse_args()
    rng = np.random.default_rng(2026)
    crystal = lattice((5.5, 12.7, 20.1, 90, 90, 90), "P 21 21 21")
    start = time.perf_counter()
    permutation, reciprocal, on_directions = crystal
    small = make_images(500, reciprocal, rng)
    directions = ImageDirections(small[2], reciprocal, on_directions, WAVELENGTH)
    for method in ("counter", "geometry"):
        find_partners(*small[:2], permutation, directions, TOP, method=method)
    print(f"Compiling (once on a machine): {time.perf_counter() - start:.1f} s")
    compare(args.images, 1, crystal, rng)
    compare(args.images, 8, crystal, rng)
    if args.large:
        large(args.large, 1, crystal, rng)
        large(args.large, 8, crystal, rng)


if __name__ == "__main__":
    main()
