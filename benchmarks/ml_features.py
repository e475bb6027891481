"""
What features and estimates without learning are worth, and what they cost.

Usage::

    python benchmarks/ml_features.py [--observations 1000000] [--compounds 8]
        [--learn 0] [--data ../shared/data] [--seed 1]

Prints

- R1 against kinematic electron |F| of the measured sets: plain merge with and without
  the Lorentz factor, median, weights from σ, weights from coupling, and the control in
  which beam directions are turned at random; to d = 0.7 Å, to which the figures of the
  trials were made, and with all data;
- the same for simulated random compounds with multiple scattering;
- with --learn, R1 of the two models for compounds that they have not seen, five folds;
- the time of features for so many simulated observations, of the process and of the
  clock. Figures of one run are to be compared with one another only.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dials.array_family import flex  # noqa: E402
from dxtbx.model.experiment_list import ExperimentListFactory  # noqa: E402

from dials_spread.correction.features.all_features import features_of
from dials_spread.correction.model.general import TreeModel
from dials_spread.correction.model.tree_model import average, fit_two_models
from dials_spread.observations import Observations, build_observations
from dials_spread.prepare.geometry import add_geometry
from dials_spread.prepare.prepared import prepare
from dials_spread.prepare.weights import METHODS, estimate_amplitudes
from dials_spread.rfactor.r1 import r_factors
from dials_spread.scattering.dynamical import ThicknessModel
from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.noise import NoiseModel
from dials_spread.simulation.random_compounds import Wishes, random_compound
from dials_spread.structures.structure_files import read_structure

ROOT = Path(__file__).resolve().parents[1]
MEASURED = (
    ("quartz/scaled", "quartz", "applied"),
    ("abiraterone/integrated", "abiraterone", "missing"),
    ("glycine/integrated", "glycine", "missing"),
)
D_MIN = 0.7


def r1(E_or_F, F):
    """R1 with the best scale."""
    group = np.zeros(len(F), dtype=int)
    return float(r_factors(E_or_F**2, np.zeros(len(F)), F, group, 1).r1[0])


def turned(measured: Observations, rng) -> Observations:
    """The same with beam directions at random."""
    beam = rng.normal(size=measured.beam.shape)
    return measured.with_beam(beam / np.linalg.norm(beam, axis=1, keepdims=True))


def figures(measured, F, rng, d_min=0.0):
    """R1 of each method, and of the control."""
    prepared = prepare(measured)
    used = measured.d_star_sq <= (1 / d_min**2 if d_min else np.inf)
    root = np.sqrt(prepared.N)
    found = {
        m: r1((estimate_amplitudes(prepared, m) * root)[used], F[used]) for m in METHODS
    }
    control = prepare(turned(measured, rng))
    found["turned"] = r1((estimate_amplitudes(control) * root)[used], F[used])
    return found


def show(name, found):
    plain = found["mean"]
    told = "  ".join(f"{m} {r:.4f} ({r / plain:.3f})" for m, r in found.items())
    print(f"{name:34s} {told}", flush=True)


def show_mean(all_found):
    for method in all_found[0]:
        ratio = [f[method] / f["mean"] for f in all_found]
        print(
            f"  {method:8s} geometric mean of ratios {np.exp(np.mean(np.log(ratio))):.3f}"
            f", worst {max(ratio):.3f}, {len(ratio)} sets"
        )


def read(data: Path, name: str):
    experiments = ExperimentListFactory.from_json_file(
        str(data / f"{name}.expt"), check_format=False
    )
    table = flex.reflection_table.from_file(str(data / f"{name}.refl"))
    return experiments, [
        table.select(table["id"] == i) for i in range(len(experiments))
    ]


def measured_sets(data: Path, rng):
    for d_min in (D_MIN, 0.0):
        print(f"\nMeasured, R1 (ratio to the plain mean), d > {d_min} Å")
        all_found = []
        for name, structure, status in MEASURED:
            experiments, tables = read(data, name)
            observations = build_observations(experiments, tables)
            F = np.abs(
                structure_factors(read_structure(structure), observations.unique_index)
            )
            found = figures(
                add_geometry(observations, experiments, tables), F, rng, d_min
            )
            all_found.append(found)
            show(name, found)
            if status == "missing":
                without = add_geometry(observations, experiments, tables, "applied")
                show("  without the Lorentz factor", figures(without, F, rng, d_min))
        show_mean(all_found)


def simulate(rng, wave="dynamical", structure=None):
    """A data set of a random compound, and its |F|."""
    structure = structure or random_compound(rng, Wishes(volume=(200, 1600)))
    experiments, reflections = simulate_experiments(
        structure,
        rng,
        n_crystals=int(rng.integers(2, 6)),
        d_min=float(rng.uniform(0.8, 1.0)),
        scan_width=float(rng.uniform(40, 80)),
        noise=NoiseModel(
            mean_counts=float(np.exp(rng.uniform(np.log(100), np.log(5000)))),
            extra_error=float(rng.uniform(0, 0.12)),
            image_spread=0.05,
        ),
        wave=wave,
        thickness=ThicknessModel(
            median=float(np.exp(rng.uniform(np.log(110), np.log(1200)))), within=0.5
        ),
    )
    tables = [
        reflections.select(reflections["id"] == i) for i in range(len(experiments))
    ]
    observations = build_observations(experiments, tables)
    F = np.abs(structure_factors(structure, observations.unique_index))
    return add_geometry(observations, experiments, tables), F


def simulated_sets(n, n_learn, seed):
    print("\nSimulated random compounds, R1 (ratio)")
    all_found, sets = [], []
    for i in range(max(n, n_learn)):
        rng = np.random.default_rng([seed, i])
        try:
            measured, F = simulate(rng)
        except (ValueError, MemoryError) as error:
            print(f"{i}: {error}")
            continue
        group = measured.space_group.type().lookup_symbol()
        name = f"{i} {group}, {len(measured)} of {len(F)}"
        found = figures(measured, F, rng)
        if i < n:
            all_found.append(found)
            show(name, found)
        if n_learn:
            sets.append((features_of(prepare(measured)), F, found["mean"]))
    if all_found:
        show_mean(all_found)
    return sets


def learn(sets, seed, folds=5):
    print(f"\nTwo models, {len(sets)} compounds, {folds} folds by compound")
    rng = np.random.default_rng(seed)
    fold = rng.permutation(len(sets)) % folds
    ratios = []
    for f in range(folds):
        train = np.flatnonzero(fold != f)
        models = fit_two_models(
            [sets[i][0] for i in train], [sets[i][1] for i in train], train, rng
        )
        for i in np.flatnonzero(fold == f):
            features, F, plain = sets[i]
            corrected = TreeModel(models).correct(features)
            averages = average(features, models.bias, models.scatter)
            root = np.sqrt(features.N)
            mean = np.maximum(averages.L_mb, 0) * root
            ratios.append((r1(corrected.F, F) / plain, r1(mean, F) / plain))
            print(
                f"  {i}: plain {plain:.4f}, model 1 alone {ratios[-1][1]:.3f}, "
                f"both {ratios[-1][0]:.3f}",
                flush=True,
            )
    ratios = np.array(ratios)
    both, first = np.exp(np.mean(np.log(ratios), axis=0))
    print(f"  geometric means: model 1 alone {first:.3f}, both {both:.3f}")


def speed(n, seed):
    rng = np.random.default_rng(seed)
    structure = random_compound(
        rng, Wishes(kind="organic", space_group="P 21 21 21", volume=(2450, 2500))
    )
    experiments, reflections = simulate_experiments(
        structure, rng, n_crystals=20, d_min=0.8, scan_width=60.0
    )
    tables = [
        reflections.select(reflections["id"] == i) for i in range(len(experiments))
    ]
    observations = build_observations(experiments, tables)
    cpu = time.process_time()
    measured = add_geometry(observations, experiments, tables)
    geometry = (time.process_time() - cpu) / len(measured)
    copies = -(-n // len(measured))
    rows = np.tile(np.arange(len(measured)), copies)
    many = measured.select(rows)
    # Each copy is of crystals of its own.
    crystal = many.crystal + np.repeat(np.arange(copies), len(measured)) * len(tables)
    many = replace(many, crystal=crystal, dataset=np.zeros(copies * len(tables), int))
    features_of(prepare(measured))
    print(f"\nSpeed, {measured.unit_cell.volume():.0f} Å³ to 0.8 Å")
    best = None
    for _ in range(3):
        start, cpu = time.perf_counter(), time.process_time()
        prepared = prepare(many)
        middle = time.process_time()
        features_of(prepared)
        told = (time.perf_counter() - start, time.process_time() - cpu, middle - cpu)
        best = told if best is None else tuple(map(min, best, told))
    print(
        f"{len(many)} observations of {many.n_unique} reflections, "
        f"{many.n_crystals} crystals: {best[0]:.1f} s by the clock, {best[1]:.1f} s of "
        f"processors, {best[2]:.1f} of them to scale, normalise and couple (best of 3); "
        f"geometry before that {geometry * len(many):.1f} s of processors, from "
        f"{len(measured)} observations"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--observations", type=int, default=1_000_000)
    parser.add_argument("--compounds", type=int, default=8)
    parser.add_argument("--learn", type=int, default=0)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.data.is_dir():
        measured_sets(options.data, np.random.default_rng(options.seed))
    else:
        print(f"No measured data in {options.data}")
    sets = simulated_sets(options.compounds, options.learn, options.seed)
    if options.learn:
        learn(sets, options.seed)
    if options.observations:
        speed(options.observations, options.seed)


if __name__ == "__main__":
    main()
