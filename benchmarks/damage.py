"""
Whether beam damage is found where it is, and not where it is not, and what it is worth.

    python benchmarks/damage.py [--compounds 20] [--others 6]

Crystals of 500 Å of random compounds that no training has seen (one_realism.py), of which B
grows along the scan by 0 to 3 Å²: one, two and four at a time. What is found of it, how often
it is taken out, how often the truth is within one and two stated uncertainties, and R1 against
the truth before and after the correction, with damage taken out and left in. What is found,
and what stays, of damage that does not grow steadily. Then four
crystals with every other thing that one_realism.py adds, none of which is damage.
"""

from __future__ import annotations

import argparse
import logging
import warnings
from collections import defaultdict

import numpy as np
from general_model_sets import truth_of
from one_realism import (
    N_CRYSTALS,
    REALISMS,
    Compound,
    Realism,
    compounds,
    measured,
    simulated,
)
from tabulate import tabulate

from dials_spread.correction.apply.correct import get_subject
from dials_spread.correction.apply.estimates import SHIPPED
from dials_spread.correction.model.general import correct_prepared, unpack
from dials_spread.correction.model.model_file import read_model
from dials_spread.observations import Observations
from dials_spread.prepare.decay import find_scales
from dials_spread.prepare.prepared import prepare
from dials_spread.prepare.scaling import Decay, fit_scales
from dials_spread.rfactor import amplitudes, r_factor

RATES = (0.0, 1.0, 2.0, 3.0)
"""B gained along the scan [Å²]."""

TOGETHER = (1, 2, 4)
"""Crystals."""

GROWTHS = {
    "steady, 3 Å²": lambda t: 3 * t,
    "none": lambda t: 0 * t,
    "saturates, 3 (1 - exp(-5 t))": lambda t: 3 * (1 - np.exp(-5 * t)),
    "in the last third, 3 Å²": lambda t: 9 * np.maximum(t - 2 / 3, 0),
}
"""B along the scan, t from 0 to 1 [Å²]."""


def with_damage(rate: float) -> Realism:
    """B that grows along the scan."""
    return Realism(f"{rate:.0f} Å²", lambda I, own: I[:, 0]
                   * np.exp(-0.5 * rate * own.turned / own.d**2))  # fmt: skip


def observed(
    compound: Compound, realism: Realism, made
) -> tuple[Observations, np.ndarray]:
    """Observations, each crystal on its own scale, and the true amplitudes."""
    data = measured(compound, realism, made)
    subject = get_subject(data.experiments, data.tables, nproc=1)
    return subject.prepared.measured, truth_of(data, subject)


def some(observations: Observations, first: int, n: int) -> Observations:
    """Some crystals alone."""
    crystal = observations.crystal
    return observations.select((crystal >= first) & (crystal < first + n))


def r1(model, observations: Observations, F: np.ndarray) -> list[float]:
    """R1 of the merge, and corrected with damage and without."""
    known, found = np.isfinite(F), []
    for scales in (fit_scales(observations), find_scales(observations)):
        own = prepare(observations, 1, scales)
        found += [amplitudes(own.merged), correct_prepared(model, own, 1)[0].F]
    return [r_factor(found[k][known], F[known])[0] for k in (0, 1, 3)]


def left_over(compound: Compound, growth, made) -> tuple[float, float]:
    """B that is found of one that grows otherwise, and what stays in the merge [Å²]."""
    realism = Realism("", lambda I, own: I[:, 0]
                      * np.exp(-0.5 * growth(own.turned) / own.d**2))  # fmt: skip
    own, F = observed(compound, realism, made)
    scales = find_scales(own)
    merged = own.divided(scales.scale).merged()
    kept = np.isfinite(F) & (merged > 0.2 * np.median(merged))
    ratio = np.log(merged[kept] / F[kept] ** 2)
    return scales.decay.mean, -2 * np.polyfit(own.d_star_sq[kept], ratio, 1)[0]


def table_of_rates(found: dict[tuple[float, int], list[Decay]], errors: dict) -> str:
    """Print what was found of each rate."""
    rows = []
    for (rate, n), decays in sorted(found.items()):
        mean = np.array([d.mean for d in decays])
        off = np.abs(mean - rate) / [d.uncertainty for d in decays]
        taken = sum(d.is_taken_out for d in decays)
        row = [f"{rate:.0f}", n, len(decays), f"{np.nanmedian(mean):.2f}",
               f"{np.nanmedian([d.uncertainty for d in decays]):.2f}",
               f"{100 * np.mean(off < 1):.0f}, {100 * np.mean(off < 2):.0f}", taken]  # fmt: skip
        if n == N_CRYSTALS:
            row += [f"{np.exp(np.mean(np.log(x))):.3f}" for x in zip(*errors[rate])]
        rows.append(row)
    heads = ["B gained", "crystals", "sets", "found", "±", "within 1, 2 (%)", "taken out",
             "R1 merged", "damage left in", "corrected"]  # fmt: skip
    return tabulate(rows, heads, tablefmt="rst", disable_numparse=True)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--compounds", type=int, default=20)
    parser.add_argument("--others", type=int, default=6)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    model = unpack(read_model(SHIPPED))
    found, errors = defaultdict(list), defaultdict(list)
    others: dict[str, list[Decay]] = defaultdict(list)
    unsteady: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for compound in compounds(args.compounds):
        made: dict = {}
        for realism in REALISMS if compound.seed < args.others else REALISMS[:1]:
            crystals = simulated(compound, realism, made)
            if "damage" not in realism.name:
                own = observed(compound, realism, crystals)[0]
                others[realism.name].append(find_scales(own).decay)
        plain = simulated(compound, REALISMS[0], made)
        for name, growth in GROWTHS.items():
            unsteady[name].append(left_over(compound, growth, plain))
        for rate in RATES:
            own, F = observed(compound, with_damage(rate), plain)
            errors[rate].append(r1(model, own, F))
            for n in TOGETHER:
                for first in range(0, N_CRYSTALS, n):
                    found[rate, n].append(find_scales(some(own, first, n)).decay)
        print(compound.seed, [f"{x:.3f}" for x in errors[RATES[-1]][-1]], flush=True)
    print(table_of_rates(found, errors))
    rows = [[name, *np.median(x, axis=0)] for name, x in unsteady.items()]
    print(tabulate(rows, ["growth", "B found", "B left"], "rst", floatfmt=".2f"))
    rows = [
        [name, len(d), f"{np.mean([x.mean for x in d]):.2f}", f"{np.max([x.mean for x in d]):.2f}",
         sum(x.is_taken_out for x in d)]
        for name, d in others.items()
    ]  # fmt: skip
    print(
        tabulate(
            rows, ["added", "sets", "mean", "largest", "taken out"], tablefmt="rst"
        )
    )


if __name__ == "__main__":
    main()
