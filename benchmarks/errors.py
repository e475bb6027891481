"""
Whether expected errors are as large as they are, and warnings right.

    python benchmarks/errors.py FOLDER [--compounds 24] [--data FOLDER] [--only PART]

1. Held-out random compounds, simulated into FOLDER as for training but with seeds that the
   training does not use: of each three thicknesses, plain and rough.
2. The five measured compounds, where the folder of measured data is.

Of each set: R1 of the network's estimates and of the posterior means, R1 over the expected
one, how many amplitudes and intensities lie within 1 and 2 σ, the largest deviation, and the
share of the weight 1/σ² that the weakest tenth has, beside the share that it would have with
the mean square deviations of each tenth. Then what the network's errors are by strength, what
symmetry equivalents say of Lorentz factors that are right, left out, and applied twice, and
in how many sets of those where ⟨E⁴⟩ rises R1 does.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentListFactory

from dials_spread.correction.apply.against_reference import find_reference, match
from dials_spread.correction.apply.correct import get_subject
from dials_spread.correction.apply.estimates import SHIPPED
from dials_spread.correction.features.all_features import features_of
from dials_spread.correction.model.general import unpack, with_unsimulated
from dials_spread.correction.model.model_file import read_model
from dials_spread.correction.model.posterior import MEAN_OF_NORMAL
from dials_spread.general_model.compounds import Store, load_compound, store_compound
from dials_spread.general_model.families import FAMILIES
from dials_spread.general_model.faults import GRADES
from dials_spread.general_model.gather import is_offered, measured_of, true_amplitudes
from dials_spread.general_model.virtual import virtual_experiments
from dials_spread.observations import Observations
from dials_spread.prepare.prepared import check_lorentz, prepare
from dials_spread.rfactor.r1 import r_factor
from dials_spread.rfactor.wilson_statistics import fourth_moment

MEASURED = {
    "quartz": "quartz", "abiraterone": "abiraterone_acetate", "glycine": "glycine",
    "natrolite": "natrolite", "carbamazepine": "carbamazepine",
}  # fmt: skip
MOST_R1 = 0.6
STRENGTHS = (0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, np.inf)


def virtual_sets(folder: Path, compounds: int) -> Iterator[tuple]:
    """Grade, experiments and tables of each set of held-out random compounds."""
    seeds = [*FAMILIES["ordinary"].seeds(compounds - compounds // 3, 5000)]
    seeds += [*FAMILIES["fine"].seeds(compounds // 3, 560)]
    seeds += [*FAMILIES["rich"].seeds(compounds // 12, 50)]
    folder.mkdir(exist_ok=True)
    for seed in seeds:
        if not store_compound(Store(str(folder)), seed):
            continue
        compound = load_compound(str(folder), seed)
        for number, grade in enumerate(GRADES):
            rng = np.random.default_rng([seed, 1 + number])
            for experiments, tables, _ in virtual_experiments(*compound, rng, 1, grade):
                yield grade, experiments, tables


def simulated(
    folder: Path, compounds: int
) -> Iterator[tuple[str, Observations, np.ndarray]]:
    """Name, observations and true amplitudes of each set."""
    for grade, experiments, tables in virtual_sets(folder, compounds):
        try:
            observations, measured = measured_of(experiments, tables)
        except ValueError:
            continue
        if is_offered(observations):
            yield grade, measured, true_amplitudes(observations, tables)


def measured_files(folder: Path) -> Iterator[tuple]:
    """Name, structure file, experiments and tables of measured compounds."""
    for name, structure in MEASURED.items():
        stem = folder / name / "integrated"
        if not stem.with_suffix(".expt").exists():
            print(f"{name}: no {stem}.expt")
            continue
        experiments = ExperimentListFactory.from_json_file(f"{stem}.expt", False)
        table = flex.reflection_table.from_file(f"{stem}.refl")
        tables = [table.select(table["id"] == k) for k in range(len(experiments))]
        source = str(folder / "structures" / f"{structure}.cif")
        yield name, source, experiments, tables


def from_files(folder: Path) -> Iterator[tuple[str, Observations, np.ndarray]]:
    """The same of measured compounds."""
    for name, source, experiments, tables in measured_files(folder):
        subject = get_subject(experiments, tables)
        reference = find_reference(subject.observations, source)
        found = match(reference, subject.prepared, np.random.default_rng(0))
        yield name, subject.prepared.measured, np.asarray(found.f_calc)


def judge(general, measured: Observations, F: np.ndarray) -> dict | None:
    """All figures of one set; None where there is next to no signal."""
    joined = measured.without_repeats()[0]
    own = prepare(joined)
    net = general.correct(features_of(own, None))
    known = np.isfinite(F)
    before = r_factor(own.E_k[known] * np.sqrt(own.N[known]), F[known])[0]
    if not before < MOST_R1:
        return None
    told = with_unsimulated(net, own.r_meas, own.n, own.measured.centric)
    if told.sigma_F is None or told.intensity is None or told.sigma_intensity is None:
        raise ValueError("no errors")
    r1, k = r_factor(net.F[known], F[known])[:2]
    true = F / k
    off_F = (true - told.F)[known] / told.sigma_F[known]
    off_I = (true**2 - told.intensity)[known] / told.sigma_intensity[known]
    E, sigma = net.E[known], net.error[known] / MEAN_OF_NORMAL
    return {
        "before": before,
        "r1": r1,
        "after": r_factor(told.F[known], F[known])[0],
        "simulated": net.predicted_r1,
        "expected": told.predicted_r1,
        "within": [np.mean(abs(z) < x) for z in (off_F, off_I) for x in (1, 2)],
        "far": [np.mean(abs(z) > 10) for z in (off_F, off_I)],
        "farthest": [abs(z).max() for z in (off_F, off_I)],
        "n": int(known.sum()),
        "share": _shares(told, true, own.N, known),
        "strength": (E, sigma, (true / np.sqrt(own.N))[known] - E),
        "fourth": fourth_moment(net.E) / fourth_moment(own.E_k),
    }


def _shares(told, true, N, known) -> tuple[float, float]:
    """Weight of the weakest tenth, as it is and as the deviations would have it."""
    I, sigma = told.intensity[known], told.sigma_intensity[known]
    tenths = np.array_split(np.argsort(I / N[known]), 10)
    square = (true[known] ** 2 - I) ** 2
    right = np.array([len(t) / square[t].mean() for t in tenths])
    weight = np.array([np.sum(1 / sigma[t] ** 2) for t in tenths])
    return weight[0] / weight.sum(), right[0] / right.sum()


def lorentz_verdicts(measured: Observations) -> list[float]:
    """The extra power preferred where one is missing, right, and once too often."""
    rate = measured.rate / np.median(measured.rate)
    return [
        check_lorentz(
            measured.with_intensity(
                measured.intensity * rate**power, measured.sigma * rate**power
            )
        )[0]
        for power in (-1, 0, 1)
    ]


def line(name: str, found: dict) -> str:
    """One set, or the mean of some."""
    F1, F2, I1, I2 = (100 * x for x in found["within"])
    return (
        f"  {name:14s} R1 {found['before']:.3f}, network {found['r1']:.4f}, mean of the "
        f"posterior {found['after']:.4f}; over expected {found['r1'] / found['simulated']:.2f}"
        f" (network), {found['after'] / found['expected']:.2f}; within 1 and 2 σ "
        f"{F1:.0f}, {F2:.0f} (F), {I1:.0f}, {I2:.0f} (I); beyond 10 σ "
        f"{1000 * found['far'][0]:.1f}, {1000 * found['far'][1]:.1f} of 1,000, farthest "
        f"{found['farthest'][0]:.1f}, {found['farthest'][1]:.1f}; weakest tenth "
        f"{found['share'][0]:.2f}, right {found['share'][1]:.2f}"
    )


def mean_of(some: list[dict]) -> dict:
    """Geometric means of R1, plain means of all else."""
    found: dict = {}
    for key in ("before", "r1", "after", "simulated", "expected"):
        found[key] = np.exp(np.mean(np.log([s[key] for s in some])))
    for key in ("within", "far", "share"):
        found[key] = np.mean([s[key] for s in some], axis=0)
    return {**found, "farthest": np.max([s["farthest"] for s in some], axis=0)}


def print_strengths(some: list[dict]) -> None:
    """What the network's errors are, by strength."""
    E, sigma, off = (np.concatenate(x) for x in zip(*(s["strength"] for s in some)))
    for low, high in zip(STRENGTHS[:-1], STRENGTHS[1:]):
        own = (E >= low) & (E < high)
        if not own.any():
            continue
        z = abs(off[own]) / sigma[own]
        print(
            f"    E {low:4.2f} to {high:4.2f}: {own.sum():6d}, mean |error| "
            f"{abs(off[own]).mean():.3f} (expected {MEAN_OF_NORMAL * sigma[own].mean():.3f}), "
            f"mean {off[own].mean():+.3f}; within 1 and 2 σ {100 * np.mean(z < 1):.0f}, "
            f"{100 * np.mean(z < 2):.0f}"
        )


def print_lorentz(verdicts: list[list[float]]) -> None:
    """How many warnings are right."""
    missing, right, twice = (np.array(x) for x in zip(*verdicts))
    warned = sum(int(np.count_nonzero(x)) for x in (missing, right, twice))
    good = int(np.sum(missing == 1) + np.sum(twice == -1))
    print(
        f"  Lorentz factor, {len(right)} sets: missing, {np.sum(missing == 1)} told and "
        f"{np.sum(missing == -1)} told wrongly; right, {np.count_nonzero(right)} doubted; once "
        f"too often, {np.sum(twice == -1)} told and {np.sum(twice == 1)} told wrongly: "
        f"{good} of {warned} warnings right"
    )


def print_fourth(some: list[dict]) -> None:
    """Whether R1 rises where ⟨E⁴⟩ rises most."""
    risen = [s for s in some if s["fourth"] > 1.6]
    worse = sum(s["r1"] > 1.005 * s["before"] for s in risen)
    print(
        f"  ⟨E⁴⟩ more than 1.6 times: {len(risen)} of {len(some)} sets, {worse} worse"
    )


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--compounds", type=int, default=24)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", default="", help="simulated or measured")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    general = unpack(read_model(SHIPPED))
    parts = {
        "simulated": lambda: simulated(args.folder, args.compounds),
        "measured": lambda: from_files(args.data),
    }
    for part, sets in parts.items():
        if args.only not in ("", part):
            continue
        print(part)
        found: dict[str, list[dict]] = {}
        verdicts = []
        for name, measured, F in sets():
            judged = judge(general, measured, F)
            if judged is None:
                continue
            found.setdefault(name, []).append(judged)
            if name != "rough":
                verdicts.append(lorentz_verdicts(measured))
        every = [s for some in found.values() for s in some]
        for name, some in found.items():
            print(
                line(f"{name}, {len(some)}" if len(some) > 1 else name, mean_of(some))
            )
            print_strengths(some)
        print_lorentz(verdicts)
        print_fourth(every)


if __name__ == "__main__":
    main()
