"""
Whether a correction is left out where there is nothing to correct, and made where there is.

    python benchmarks/evidence.py [--random 12] [--data FOLDER] [--only PART]

Simulated sets, each compound simulated once: the built-in structures (and those in the
folder) as 4 crystals, and random compounds as 2 to 6 crystals; kinematic, and median
thickness of 50, 150, 300, 600 and 1,100 Å; of each several grades of noise. Two figures a
family: R1 against the true amplitudes over that of the table as it was, merged with weights
1/σ², where all of the correction is applied, and where the data decide (the default).

Constants of dials_spread/correction/model/evidence.py were found on the random compounds;
the structures are the test.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentList

from dials_spread.correction.apply.estimates import SHIPPED
from dials_spread.correction.model.general import correct_prepared, unpack
from dials_spread.correction.model.model_file import read_model
from dials_spread.general_model.gather import measured_of, true_amplitudes
from dials_spread.prepare.prepared import prepare
from dials_spread.rfactor import amplitudes
from dials_spread.rfactor.r1 import r_factor
from dials_spread.scattering.beams import BeamSelection
from dials_spread.scattering.dynamical import (
    ThicknessModel,
    crystal_intensities,
    rotation_scan_of,
)
from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.simulation.crystals import (
    CrystalTask,
    Setup,
    crystal_experiment,
    miller_indices,
    prepare_sample,
)
from dials_spread.simulation.datasets import joined
from dials_spread.simulation.geometry import Laboratory
from dials_spread.simulation.intensities import (
    add_centroids,
    compose_expected,
    measure,
)
from dials_spread.simulation.noise import NoiseModel
from dials_spread.simulation.prediction import predict_crystal
from dials_spread.simulation.random_compounds import Wishes, random_compound
from dials_spread.structures.structure_files import read_structure

THICKNESS = (50.0, 150.0, 300.0, 600.0, 1100.0)
D_MIN = {
    "paracetamol": 0.85, "quartz": 0.7, "abiraterone": 1.0, "glycine": 0.8,
    "natrolite": 0.95, "carbamazepine": 1.0,
}  # fmt: skip
BUILT_IN = ("paracetamol", "quartz", "abiraterone", "glycine")
GRADES = (
    NoiseModel(mean_counts=800.0, extra_error=0.05, image_spread=0.03),
    NoiseModel(mean_counts=300.0, extra_error=0.1, image_spread=0.03),
)
KINEMATIC_GRADES = (
    *GRADES,
    NoiseModel(mean_counts=3000.0, extra_error=0.05, image_spread=0.03),
    NoiseModel(mean_counts=800.0, extra_error=0.1, image_spread=0.1),
)
KINEMATIC = "intensity.kinematic.value"


def predicted(
    number: int, sample, structure, experiment, d_min: float, layers, selection
):
    """
    Predict a crystal: its table with |F|² of a structure, and dynamical intensities.

    layers, shape (thicknesses, points), are distributions of thickness; intensities have
    shape (rows, thicknesses).
    """
    table = predict_crystal(experiment, 0, d_min)
    hkl = miller_indices(table)
    I = crystal_intensities(
        sample.potential, rotation_scan_of(experiment), hkl,
        table["xyzcal.mm"].parts()[2].as_numpy_array(), layers, selection, False,
    )  # fmt: skip
    table[KINEMATIC] = flex.double(np.abs(structure_factors(structure, hkl)) ** 2)
    for name in ("id", "imageset_id"):
        table[name] = flex.int(len(table), number)
    return table, np.nan_to_num(I)


def simulate(
    structure, d_min: float, n: int, rng: np.random.Generator, thickness=THICKNESS
):
    """All thicknesses of n crystals in one pass, without noise."""
    setup = Setup(
        d_min=d_min, wave="dynamical", selection=BeamSelection(absorption=0.03)
    )
    sample = prepare_sample(structure, setup)
    laboratory = Laboratory.with_electrons(setup.wavelength, d_min)
    experiments, tables = ExperimentList(), []
    for k in range(n):
        width = float(rng.uniform(40, 70))
        task = CrystalTask(k, int(rng.integers(2**63)), width, 1.0)
        experiments.append(crystal_experiment(sample, task, laboratory))
        centres = np.array(thickness) * np.exp(0.3 * rng.standard_normal())
        within = ThicknessModel(within=0.4)
        layers = np.array([within.distribution(t) for t in centres])
        table, I = predicted(
            k, sample, structure, experiments[-1], d_min, layers, setup.selection
        )
        for place in range(len(thickness)):
            column = np.ascontiguousarray(I[:, place])
            table[f"thickness.{place}"] = flex.double(column)
        tables.append(table)
    return experiments, joined(tables, experiments, d_min), sample.mean_intensity


def noisy(made, d_min: float, column: str, noise: NoiseModel, seed: int):
    """Add noise to one family: experiments, and what integration would have found."""
    experiments, whole, mean_intensity = made
    rng = np.random.default_rng(seed)
    counts = noise.counts_per_intensity(mean_intensity, Setup().wavelength, d_min)
    tables = []
    for k, experiment in enumerate(experiments):
        table = whole.select(whole["id"] == k)
        I = np.maximum(table[column].as_numpy_array(), 0)
        compose_expected(table, I, rng, noise, counts)
        measure(experiment, table, rng, noise)
        add_centroids(experiment, table, rng)
        tables.append(table)
    return experiments, tables


def measured(made, d_min: float, column: str, noise: NoiseModel, seed: int):
    """Add noise to one family; observations, and the truth."""
    experiments, tables = noisy(made, d_min, column, noise, seed)
    observations, own = measured_of(experiments, tables)
    return own, true_amplitudes(observations, tables)


def compounds(
    n_random: int, folder: Path
) -> Iterator[tuple[str, str, object, float, int]]:
    """Part, name, structure, resolution limit and number of crystals."""
    for name, d_min in D_MIN.items():
        file = name if name in BUILT_IN else folder / "structures" / f"{name}.cif"
        if name in BUILT_IN or Path(file).exists():
            yield "structures", name, read_structure(str(file)), d_min, 4
    for k in range(n_random):
        structure = random_compound(
            np.random.default_rng(770_000 + k), Wishes(volume=(200, 1000))
        )
        d_min = max(0.85, float(np.cbrt(structure.unit_cell().volume() / 1200)))
        yield "random", f"random {k}", structure, d_min, (2, 3, 4, 6)[k % 4]


def families() -> list[tuple[str, str, tuple[NoiseModel, ...]]]:
    """Name, column of intensities, and grades of noise, of what simulate() makes."""
    thick = [(f"{t:.0f} Å", f"thickness.{k}", GRADES) for k, t in enumerate(THICKNESS)]
    return [("kinematic", KINEMATIC, KINEMATIC_GRADES), *thick]


def study(general, name: str, structure, d_min: float, n: int) -> list[tuple]:
    """Print and give (family, all of the correction, by the data) of one compound."""
    made = simulate(structure, d_min, n, np.random.default_rng(sum(map(ord, name))))
    rows = []
    for family, column, grades in families():
        for seed, noise in enumerate(grades):
            own, F = measured(made, d_min, column, noise, seed)
            prepared = prepare(own)
            found = correct_prepared(general, prepared)[0]
            scaled, e = prepared.scaled, found.evidence
            before = amplitudes(scaled.merged(weights=1 / scaled.variance))
            part = before ** (1 - e.strength) * found.F**e.strength
            r1 = [r_factor(x, F)[0] for x in (before, found.F, part)]
            rows.append((family, r1[1] / r1[0], r1[2] / r1[0]))
            print(f"  {name:14s} {n} crystals {family:10s} R1 {r1[0]:.3f}, all {r1[1]:.3f}, "
                  f"by the data {r1[2]:.3f}; slope {e.slope:.2f} ± {e.slope_su:.2f}, "
                  f"probability {e.probability:.2f}", flush=True)  # fmt: skip
    return rows


def print_means(part: str, rows: list[tuple]) -> None:
    """Geometric means and the worst of each family."""
    print(f"{part}: R1 over that before, geometric mean (largest)")
    for family in dict.fromkeys(row[0] for row in rows):
        told = []
        for place in (1, 2):
            ratio = np.array([row[place] for row in rows if row[0] == family])
            told.append(f"{np.exp(np.mean(np.log(ratio))):.3f} ({ratio.max():.2f})")
        print(
            f"  {family:10s} {len(ratio):3d} sets   all {told[0]}   by the data {told[1]}"
        )


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--random", type=int, default=12)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", default="", help="structures or random")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    general = unpack(read_model(SHIPPED))
    found: dict[str, list[tuple]] = {}
    for part, *compound in compounds(args.random, args.data):
        if args.only in ("", part):
            found.setdefault(part, []).extend(study(general, *compound))
    for part, rows in found.items():
        print_means(part, rows)


if __name__ == "__main__":
    main()
