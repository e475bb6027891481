"""
Faster statistics of dials.compare_images beside what they take the place of.

    python benchmarks/faster_statistics.py [--sets 10] [--folder faster_statistics] [FILES ...]

Of abiraterone/ (or of FILES) and of simulated sets, ten of which are made by
dials.simulate_ed (four compounds, 8 to 16 crystals):

* bootstrap: s of each sample from sums of crystals times their weights, and from rows of
  the crystals that were drawn (with replacement), put together and summed anew; and the
  ends of its interval with these samples and with those in use, whose weights are
  exponential;
* permutations: p-values where drawing ends once it is clear and pairs share what is drawn,
  and those of pairs that draw all for themselves;
* variogram: sums by angle bin, pair of crystals and kind, and those of a loop over all
  pairs in numpy; curve from all pairs and from a fifth of them, near ones apart.

One line for each set; the worst of all at the end.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import contextlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dials_spread import significance
from dials_spread.command_line.compare_images import run
from dials_spread.spread import analysis
from dials_spread.spread.chance import likelihood
from dials_spread.spread.size.size import deviations, spread_interval
from dials_spread.spread.variogram import pair_table
from dials_spread.statistics.excess_spread import (
    Deviations,
    likelihood_table,
    most_likely,
)

KINDS = (
    ("abiraterone", 12),
    ("glycine", 16),
    ("paracetamol", 8),
    ("quartz", 10),
)
"""Compounds of the simulated sets, in turn, and their crystals."""

SAMPLES = 100
NOTHING = open(os.devnull, "w")  # noqa: SIM115
"""Open to the end, since what logs keeps it."""


def simulate(number: int, folder: Path) -> list[str]:
    """Make a set of crystals, unless that was done before; give its files."""
    compound, n = KINDS[number % len(KINDS)]
    folder.mkdir(parents=True, exist_ok=True)
    names = [str(folder / f"simulated.{kind}") for kind in ("expt", "refl")]
    if not Path(names[1]).exists():
        code = "from dials_spread.command_line.simulate_ed import run; run()"
        line = [
            sys.executable, "-c", code, f"structure={compound}", f"n_crystals={n}",
            "scan_width=60", "noise.extra_error=0.1", f"seed={number}",
        ]  # fmt: skip
        subprocess.run(line, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return names


def recorded(
    names: list[str], folder: Path, more: Sequence[str] = (), **changed: Any
) -> dict[str, tuple]:
    """
    Compare the images of a set.

    Args:
        names: Its files.
        folder: Where the results go.
        more: Parameters.
        changed: Of likelihood, what is to be another value.

    Returns:
        By the name of the function: what it was called with, and what it gave.
    """
    calls: dict[str, tuple] = {}
    restore = []

    def listen(module: Any, name: str) -> None:
        function = getattr(module, name)

        def heard(*given: Any, **named: Any) -> Any:
            result = function(*given, **named)
            calls.setdefault(name, (given, named, result))
            return result

        restore.append((module, name, function))
        setattr(module, name, heard)

    listen(analysis, "measure_size")
    listen(analysis, "sum_pairs")
    listen(analysis, "build_variogram")
    listen(significance, "pair_ratios")
    for name, value in changed.items():
        restore.append((likelihood, name, getattr(likelihood, name)))
        setattr(likelihood, name, value)
    arguments = [
        *names, *more, "output.log=None", "output.html=None",
        "output.json=found.json",
    ]  # fmt: skip
    before = os.getcwd()
    try:
        os.chdir(folder)
        with contextlib.redirect_stdout(NOTHING):
            run(arguments)
    finally:
        os.chdir(before)
        for module, name, function in restore[::-1]:
            setattr(module, name, function)
    return calls


def bootstrap(call: tuple) -> tuple[float, float]:
    """
    Draw crystals with replacement.

    Returns:
        The largest difference of s between both ways, relative to s; and that of the
        ends of the interval from those in use, in half widths.
    """
    residuals, _, groups, weights, levels = call[0][:5]
    if not groups.enough:
        return np.nan, np.nan
    data = deviations(residuals)
    group = groups.of_crystal[residuals.crystal].astype(np.int64)
    table = likelihood_table(data, group, groups.n)
    rng = np.random.default_rng(0)
    drawn = rng.integers(groups.n, size=(SAMPLES, groups.n))
    counts = np.array([np.bincount(d, minlength=groups.n) for d in drawn])
    by_sums = most_likely(counts @ table)
    rows = [np.flatnonzero(group == g) for g in range(groups.n)]
    by_rows = []
    for chosen in drawn:
        used = np.concatenate([rows[g] for g in chosen])
        own = Deviations(*(np.asarray(column)[used] for column in data))
        one = likelihood_table(own, np.zeros(len(used), dtype=np.int64), 1)
        by_rows.append(most_likely(one)[0])
    whole = most_likely(table.sum(axis=0)[None])
    many = rng.multinomial(groups.n, np.full(groups.n, 1 / groups.n), size=2000)
    sampled = most_likely(many @ table)
    # Levels of samples are those of all here, as both ways have them alike.
    of_rows = spread_interval(np.append(whole, sampled), groups.n)
    in_use = spread_interval(most_likely(weights @ table), groups.n)
    width = 0.5 * (in_use[1] - in_use[0])
    return (
        float(np.abs(by_sums / np.array(by_rows) - 1).max()),
        float(np.abs(np.subtract(of_rows, in_use)).max() / width),
    )


def permutations(names: list[str], folder: Path, call: tuple) -> dict[str, float]:
    """Let pairs draw all for themselves, and compare p-values."""
    alone = recorded(names, folder, ENOUGH=10**9, SHARED=10**9)["pair_ratios"]
    p, full, drawn = call[2][1], alone[2][1], call[0][5]
    told = np.isfinite(p) & np.isfinite(full)
    p, full = p[told], full[told]
    # Drawing that ends at ENOUGH has a standard deviation of p √((1 - p) / ENOUGH).
    done = np.where(p * (drawn + 1) > likelihood.ENOUGH, likelihood.ENOUGH, 0)
    variance = full * (1 - full) / (drawn + 1)
    variance += np.where(done > 0, full**2 * (1 - full) / likelihood.ENOUGH, variance)
    z = (p - full)[variance > 0] / np.sqrt(variance[variance > 0])
    return {
        "pairs": len(p),
        "z": float(np.sqrt(np.mean(z**2))),
        "mean": float(np.mean(p - full)),
        "below": float(np.mean(p <= 0.05)),
        "below_full": float(np.mean(full <= 0.05)),
    }


def pairs_one_by_one(call: tuple) -> float:
    """The largest difference of any sum from that of a loop, relative to the column's."""
    given = dict(
        zip(("residuals", "directions", "groups", "rng", "most", "nproc"), call[0])
    )
    residuals, directions = given["residuals"], given["directions"]
    groups = given["groups"]
    halves = call[0][6] if len(call[0]) > 6 else call[1].get("halves")
    found = pair_table.sum_pairs(
        residuals, directions, groups, np.random.default_rng(0), 10**12, 1, halves
    )
    inputs = pair_table.pair_inputs(residuals, directions, halves)
    intensity, variance, image, crystal = inputs.columns
    group = groups.of_crystal[residuals.crystal]
    operator = directions.operator[residuals.observation]
    beam, against, factors = inputs.beams
    expected = np.zeros_like(found.sums)
    start = residuals.start
    for u in range(len(start) - 1):
        m = start[u + 1] - start[u]
        p, q = (start[u] + x for x in np.triu_indices(m, 1))
        apart = (image[p] != image[q]) & (inputs.hand[p] == inputs.hand[q])
        p, q = p[apart], q[apart]
        angle = angles(p, q, u, inputs, beam, against)
        same = crystal[p] == crystal[q]
        crossing = same & (operator[p] == operator[q])
        keep = ~(crossing & (angle < pair_table.SAME_CROSSING))
        p, q, angle, same = p[keep], q[keep], angle[keep], same[keep]
        square = (intensity[p] - intensity[q]) ** 2
        gamma = 0.5 * (square - variance[p] - variance[q]) / inputs.square_level[u]
        weight = np.full(len(p), inputs.weight[u] / (m - 1))
        difference = factors[image[p]] - factors[image[q]]
        common = 0.5 * np.mean(difference[..., 0] * difference[..., 1], axis=-1)
        known = np.isfinite(common)
        columns = np.stack([
            weight, weight * gamma, weight * angle, np.ones(len(p)), weight * known,
            np.where(known, weight * (gamma - common), 0.0),
        ], axis=-1)  # fmt: skip
        low, high = np.minimum(group[p], group[q]), np.maximum(group[p], group[q])
        low = np.where(same, group[p], low)
        high = np.where(same, group[p], high)
        k = np.searchsorted(pair_table.EDGES, angle, "right") - 1
        k = np.clip(k, 0, pair_table.N_BINS - 1)
        np.add.at(expected, (low, high, np.where(same, 0, 1), k), columns)
    scale = np.abs(expected).reshape(-1, expected.shape[-1]).max(axis=0)
    return float((np.abs(found.sums - expected) / np.maximum(scale, 1e-300)).max())


def angles(p, q, u, inputs, beam, against) -> np.ndarray:
    """Angles of pairs of observations of reflection u [°], the least over its operators."""
    keeps = np.flatnonzero(inputs.fixes[u])
    direct = np.full(len(p), np.inf)
    reverse = np.full(len(p), np.inf)
    for k in keeps:
        turn = inputs.on_directions[k].T
        direct = np.minimum(direct, np.sum((beam[p] - beam[q] @ turn) ** 2, axis=1))
        reverse = np.minimum(
            reverse, np.sum((beam[p] - against[q] @ turn) ** 2, axis=1)
        )

    def degrees(square: np.ndarray) -> np.ndarray:
        return np.degrees(2 * np.arcsin(np.minimum(1.0, 0.5 * np.sqrt(square))))

    beyond = 180.0 - np.minimum(90.0, degrees(reverse))
    return np.where(direct <= 2.0, degrees(direct), beyond)


def drawn_pairs(names: list[str], folder: Path, calls: dict[str, tuple]) -> list[float]:
    """
    The curve from a fifth of all pairs, beside that from all.

    Returns:
        Differences of nugget, sill and range, over half the width of the interval from
        all pairs, and the mean ratio of widths; nan where there is no curve.
    """
    n_all = calls["sum_pairs"][2].n_all
    part = recorded(names, folder, [f"variogram.max_pairs={n_all // 5}"])
    found = []
    for name in ("nugget", "sill", "range"):
        of_all = np.array(getattr(calls["build_variogram"][2], name), dtype=float)
        of_part = np.array(getattr(part["build_variogram"][2], name), dtype=float)
        width = 0.5 * (of_all[2] - of_all[1])
        found.append(
            [(of_part[0] - of_all[0]) / width, (of_part[2] - of_part[1]) / 2 / width]
        )
    differences, widths = np.array(found).T
    return [*differences, float(np.mean(widths))]


def one_set(name: str, files: list[str], folder: Path) -> list[float]:
    """Compare what is new with what is old, and print a line."""
    folder.mkdir(parents=True, exist_ok=True)
    calls = recorded(files, folder)
    of_s, ends = bootstrap(calls["measure_size"])
    p = permutations(files, folder, calls["pair_ratios"])
    sums = pairs_one_by_one(calls["sum_pairs"])
    curve = drawn_pairs(files, folder, calls)
    print(
        f"{name:18}{of_s:9.1e}{ends:7.2f}{p['pairs']:8.0f}{p['z']:6.2f}{p['mean']:9.4f}"
        f"{p['below']:8.3f}{p['below_full']:8.3f}{sums:9.1e}"
        + "".join(f"{x:8.2f}" for x in curve),
        flush=True,
    )
    return [of_s, ends, p["z"], sums, *curve]


def main() -> None:
    """Compare, set by set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("files", nargs="*")
    parser.add_argument("--sets", type=int, default=10)
    parser.add_argument("--folder", default="faster_statistics")
    given = parser.parse_args()
    folder = Path(given.folder).resolve()
    files = given.files
    if not files:
        data = Path(os.environ["DIALS_SPREAD_DATA"]) / "abiraterone"
        files = [str(data / f"integrated.{kind}") for kind in ("expt", "refl")]
    print(
        f"{'':18}{'s':>9}{'ends':>7}{'pairs':>8}{'z':>6}{'p - p':>9}{'p<.05':>8}{'all':>8}"
        f"{'sums':>9}{'nugget':>8}{'sill':>8}{'range':>8}{'widths':>8}"
    )
    files = [str(Path(name).resolve()) for name in files]
    rows = [one_set(Path(files[0]).parent.name, files, folder / "given")]
    for number in range(given.sets):
        made = folder / f"set_{number}"
        name = f"{KINDS[number % len(KINDS)][0]} {number}"
        rows.append(one_set(name, simulate(number, made), made / "found"))
    table = np.abs(np.array(rows))
    print(
        "worst: s {:.1e}, ends {:.2f}, z {:.2f}, sums {:.1e}, nugget {:.2f}, sill {:.2f}, "
        "range {:.2f}".format(*np.nanmax(table[:, :7], axis=0))
    )


if __name__ == "__main__":
    main()
