"""
What single realisms cost the general model, added one at a time.

    python benchmarks/one_realism.py [--compounds 6] [--only NAME ...]

Four crystals of 500 Å each of random compounds that no training has seen, simulated once more
with each thing that real data have and plain simulations do not: in the crystal, in the
structure that they are compared with, in the geometry, in the counts. Geometric means over
the compounds: R1 before and after, their ratio, R1 over that which the network expects and
over that which the program states, and amplitudes within 1 and 2 stated σ.

Averaging over orientations stands for bent and mosaic crystals (0.1°) and for precession
(0.25°, without its own Lorentz factor). Twinning is that by merohedry: each reflection has a
partner of like resolution under it, always the same one.
"""

from __future__ import annotations

import argparse
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
from evidence import KINEMATIC, predicted
from general_model_sets import DataSet, judge
from tabulate import tabulate

from cctbx import miller, xray
from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentList

from dials_spread.correction.apply.estimates import SHIPPED
from dials_spread.correction.model.model_file import read_model
from dials_spread.general_model.faults import (
    Faults,
    misset_experiment,
    saturated,
)
from dials_spread.scattering.beams import BeamSelection
from dials_spread.scattering.dynamical import (
    ThicknessModel,
)
from dials_spread.scattering.form_factors import parse_type
from dials_spread.simulation.crystals import (
    CrystalTask,
    Setup,
    crystal_experiment,
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
from dials_spread.simulation.random_compounds import Wishes, random_compound

THICKNESS = 500.0  # [Å]
N_CRYSTALS = 4
NOISE = NoiseModel(mean_counts=800.0, extra_error=0.03, image_spread=0.03)
EVEN, UNEVEN = ThicknessModel(within=0.2), ThicknessModel(within=0.9)
ALONG = (250.0, 400.0, 550.0, 700.0, 850.0)
"""Thicknesses along a scan [Å]."""

SELECTION = BeamSelection(absorption=0.03)

Alter = Callable[[np.ndarray, SimpleNamespace], np.ndarray]


@dataclass(frozen=True)
class Realism:
    """
    One thing that real data have.

    Attributes:
        name: Of it.
        alter: Intensities of one crystal from those and what is known of them.
        selection: Of the beams.
        structure: Changes the structure that scatters; the reference stays.
        noise: Of the counts.
        faults: Of orientations and cells.
        background: By how much it is wrong under a spot, in its counting noise.
    """

    name: str
    alter: Alter = lambda I, own: I[:, 0]
    selection: BeamSelection = SELECTION
    structure: Callable | None = None
    noise: NoiseModel = NOISE
    faults: Faults = Faults(wander=0.0, outliers=0.0)
    background: float = 0.0


def along_scan(I: np.ndarray, own: SimpleNamespace) -> np.ndarray:
    """Thickness grows from the first of ALONG to the last and falls again."""
    place = (len(ALONG) - 1) * (1 - np.abs(2 * own.turned - 1))
    low = np.minimum(place.astype(int), len(ALONG) - 2)
    part, rows = place - low, np.arange(len(I))
    return (1 - part) * I[rows, 2 + low] + part * I[rows, 3 + low]


def partial(I: np.ndarray, own: SimpleNamespace) -> np.ndarray:
    """Parts of reflections, divided by parts that are not quite right."""
    part = own.rng.uniform(0.3, 1.0, len(I))
    told = np.clip(part + 0.1 * own.rng.standard_normal(len(I)), 0.25, 1.0)
    return I[:, 0] * part / told


def wrong_alike(I: np.ndarray, own: SimpleNamespace) -> np.ndarray:
    """All observations of a reflection off by one factor, of 15 % of |F|."""
    rng = np.random.default_rng(own.seed)
    return I[:, 0] * np.exp(0.3 * rng.standard_normal(own.n_unique))[own.unique]


def twinned(I: np.ndarray, own: SimpleNamespace) -> np.ndarray:
    """One fifth of another reflection of like resolution, always of the same one."""
    rng = np.random.default_rng(own.seed)
    shell = np.argsort(own.d_of + 0.02 * rng.standard_normal(own.n_unique))
    partner = np.empty(own.n_unique, dtype=int)
    partner[shell] = np.roll(shell, 1)
    return 0.8 * I[:, 0] + 0.2 * own.F_squared[partner][own.unique]


def charged(structure: xray.structure, rng: np.random.Generator) -> xray.structure:
    """Half an electron on N, O and halogens, taken from all others."""
    changed = structure.deep_copy_scatterers()
    atoms = list(changed.scatterers())
    negative = [s.scattering_type in ("N", "O", "F", "Cl", "Br") for s in atoms]
    weight = np.array([s.multiplicity() * s.occupancy for s in atoms])
    on = weight[np.array(negative)].sum()
    off = weight[~np.array(negative)].sum()
    if not on or not off:
        return structure
    charge = min(0.5, 0.25 * off / on)
    for atom, is_negative in zip(atoms, negative):
        element = parse_type(atom.scattering_type)[0]
        size = charge if is_negative else charge * on / off
        atom.scattering_type = f"{element}{size:.3f}{'-' if is_negative else '+'}"
    return xray.structure(changed, scatterers=changed.scatterers())


def other_displacements(structure: xray.structure, rng) -> xray.structure:
    """U of each atom half as large or twice as large, and so on."""
    changed = structure.deep_copy_scatterers()
    for atom in changed.scatterers():
        factor = float(np.exp(0.4 * rng.standard_normal()))
        atom.u_iso *= factor
        atom.u_star = tuple(factor * x for x in atom.u_star)
    return changed


def with_solvent(structure: xray.structure, rng) -> xray.structure:
    """Smeared oxygen that nobody has in the model, one per 60 Å³ of a fifth of the cell."""
    changed = structure.deep_copy_scatterers()
    volume = structure.unit_cell().volume() / structure.space_group().order_z()
    for k in range(max(1, round(0.2 * volume / 60))):
        changed.add_scatterer(
            xray.scatterer(
                f"O{900 + k}", site=tuple(map(float, rng.random(3))), u=0.3,
                occupancy=0.7, scattering_type="O",
            )
        )  # fmt: skip
    return changed


REALISMS = (
    Realism("nothing"),
    Realism("1,500 Å thick", lambda I, own: I[:, 7]),
    Realism("thickness within the beam, 50 to 950 Å", lambda I, own: I[:, 1]),
    Realism("thickness along the scan, 250 to 850 Å", along_scan),
    Realism("bent or mosaic, 0.1°", selection=replace(SELECTION, mosaicity=0.1)),
    Realism("averaged over 0.25°, as precession", selection=replace(SELECTION, mosaicity=0.25)),
    Realism("absorption 12 %", selection=BeamSelection(absorption=0.12)),
    Realism("charges of half an electron", structure=charged),
    Realism("displacements wrong by 40 %", structure=other_displacements),
    Realism("disordered solvent", structure=with_solvent),
    Realism("twinned, 20 %", twinned),
    Realism("orientations off by 0.2°", faults=Faults(wander=0, outliers=0, misset=0.2)),
    Realism("orientations off by 0.5°", faults=Faults(wander=0, outliers=0, misset=0.5)),
    Realism("cells off by 0.5 %", faults=Faults(wander=0, outliers=0, strain=0.005)),
    Realism("parts of reflections", partial),
    Realism("own errors of 20 %", noise=replace(NOISE, extra_error=0.2)),
    Realism("50 electrons a reflection", noise=replace(NOISE, mean_counts=50.0)),
    Realism("5 % outliers", lambda I, own: I[:, 0] * np.where(
        own.rng.random(len(I)) < 0.05, np.exp(0.7 * own.rng.standard_normal(len(I))), 1)),
    Realism("scales from image to image, 20 %", noise=replace(NOISE, image_spread=0.2)),
    Realism("background wrong by twice its noise", background=2.0),
    Realism("strongest lose 40 %", lambda I, own: saturated(np.maximum(I[:, 0], 0), 0.4)),
    Realism("intensities to the power 0.85", lambda I, own: np.maximum(I[:, 0], 0) ** 0.85
            * own.mean**0.15),
    Realism("damage, B from 0 to 3 Å²", lambda I, own: I[:, 0]
            * np.exp(-1.5 * own.turned / own.d**2)),
    Realism("Lorentz factor twice", lambda I, own: I[:, 0] * own.lp / np.median(own.lp)),
    Realism("all observations wrong alike, 15 % of F", wrong_alike),
)  # fmt: skip


@dataclass(frozen=True)
class Compound:
    """A random compound, and how it is measured."""

    seed: int
    structure: xray.structure
    d_min: float


def compounds(n: int) -> list[Compound]:
    """Random compounds of seeds that the training does not use."""
    found = []
    for k in range(n):
        rng = np.random.default_rng(660_000 + k)
        structure = random_compound(rng, Wishes(kind="organic", volume=(250, 700)))
        d_min = max(0.85, float(np.cbrt(structure.unit_cell().volume() / 900)))
        found.append(Compound(k, structure, d_min))
    return found


def simulate(compound: Compound, structure: xray.structure, selection: BeamSelection):
    """Experiments, tables, and intensities of all thicknesses of each crystal."""
    setup = Setup(d_min=compound.d_min, wave="dynamical", selection=selection)
    sample = prepare_sample(structure, setup)
    laboratory = Laboratory.with_electrons(setup.wavelength, compound.d_min)
    rng = np.random.default_rng([compound.seed, 1])
    experiments, tables, intensities = ExperimentList(), [], []
    for k in range(N_CRYSTALS):
        task = CrystalTask(
            k, int(rng.integers(2**62)), float(rng.integers(40, 66)), 1.0
        )
        experiments.append(crystal_experiment(sample, task, laboratory))
        size = float(np.exp(0.2 * rng.standard_normal()))
        layers = [EVEN.distribution(THICKNESS)]
        if selection is SELECTION and structure is compound.structure:
            layers.append(UNEVEN.distribution(THICKNESS))
            layers += [EVEN.distribution(t) for t in (*ALONG, 1500.0)]
        table, I = predicted(
            k, sample, compound.structure, experiments[-1], compound.d_min,
            size * np.array(layers), selection,
        )  # fmt: skip
        tables.append(table)
        intensities.append(I)
    return experiments, tables, intensities, sample.mean_intensity


def simulated(compound: Compound, realism: Realism, made: dict) -> tuple:
    """What `simulate` gives for a realism; kept in `made` for others that share it."""
    key = (realism.selection, realism.structure)
    if key not in made:
        structure = compound.structure
        if realism.structure is not None:
            rng = np.random.default_rng([compound.seed, 3])
            structure = realism.structure(structure, rng)
        made[key] = simulate(compound, structure, realism.selection)
    return made[key]


def _own(compound: Compound, tables, seed: int) -> list[SimpleNamespace]:
    """What realisms may know of the observations of each crystal."""
    symmetry = compound.structure.crystal_symmetry()
    hkl = flex.miller_index()
    for table in tables:
        hkl.extend(table["miller_index"])
    asu = miller.set(symmetry, hkl, anomalous_flag=False).map_to_asu()
    indices = np.array(list(asu.indices()))
    _, first, unique = np.unique(
        indices, axis=0, return_index=True, return_inverse=True
    )
    F2 = np.concatenate([t[KINEMATIC].as_numpy_array() for t in tables])
    d = np.concatenate([t["d"].as_numpy_array() for t in tables])
    found, start = [], 0
    for k, table in enumerate(tables):
        own = slice(start, start := start + len(table))
        angle = table["xyzcal.mm"].parts()[2].as_numpy_array()
        found.append(SimpleNamespace(
            rng=np.random.default_rng([seed, k]), seed=seed, unique=unique[own],
            n_unique=len(first), F_squared=F2[first], d_of=d[first], d=d[own],
            turned=(angle - angle.min()) / np.ptp(angle), mean=F2.mean(),
            lp=table["lp"].as_numpy_array(),
        ))  # fmt: skip
    return found


def measured(compound: Compound, realism: Realism, made) -> DataSet:
    """What integration would have found."""
    experiments, tables, intensities, mean = made
    rng = np.random.default_rng([compound.seed, 2])
    counts = realism.noise.counts_per_intensity(
        mean, Setup().wavelength, compound.d_min
    )
    own, found = ExperimentList(), []
    for k, told in enumerate(_own(compound, tables, compound.seed)):
        table = tables[k].copy()
        I = np.maximum(realism.alter(intensities[k], told), 0)
        compose_expected(table, I, rng, realism.noise, counts)
        measure(experiments[k], table, rng, realism.noise)
        _misjudge(table, realism)
        add_centroids(experiments[k], table, rng)
        own.append(misset_experiment(rng, experiments[k], realism.faults))
        found.append(table)
    whole = joined(found, own, compound.d_min)
    split = [whole.select(whole["id"] == k) for k in range(N_CRYSTALS)]
    return DataSet(realism.name, f"random {compound.seed}", own, split)


def _misjudge(table: flex.reflection_table, realism: Realism) -> None:
    """Take a background for too low by some of its counting noise, everywhere."""
    under = realism.noise.background * table["num_pixels.foreground"].as_numpy_array()
    added = flex.double(realism.background * np.sqrt(under))
    table["intensity.sum.value"] += added
    table["intensity.prf.value"] += added / table["partiality"]


def _row(name: str, sets: list[dict]) -> list:
    def mean(values) -> float:
        return float(np.exp(np.mean(np.log(list(values)))))

    before, after = (mean(s[key] for s in sets) for key in ("before", "after"))
    with_b = mean(s["after with B"] / s["before with B"] for s in sets)
    own = [s for s in sets if s.get("expected")]
    largest = max(s["after"] / s["before"] for s in sets)
    row = [name, f"{before:.3f}", f"{after:.3f}"]
    row += [f"{x:.2f}" for x in (after / before, largest, with_b)]
    if not own:
        return [*row, "", "", ""]
    ratio = [mean(s["after"] / s[key] for s in own) for key in ("network", "expected")]
    within = np.mean([s["F"] for s in own if "F" in s], axis=0)
    told = ", ".join(f"{100 * x:.0f}" for x in within[:2])
    return [*row, *(f"{x:.2f}" for x in ratio), told]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--compounds", type=int, default=6)
    parser.add_argument("--only", nargs="*", default=[])
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    model = read_model(SHIPPED)
    realisms = [r for r in REALISMS if not args.only or r.name in args.only]
    found: dict[str, list[dict]] = {r.name: [] for r in realisms}
    for compound in compounds(args.compounds):
        made: dict = {}
        for realism in realisms:
            judged = judge(
                measured(compound, realism, simulated(compound, realism, made)), model
            )
            if judged is not None:
                found[realism.name].append(judged)
                print(f"  random {compound.seed} {realism.name:44s} R1 "
                      f"{judged['before']:.3f} → {judged['after']:.3f}", flush=True)  # fmt: skip
    header = ["what is added", "before", "after", "ratio", "largest", "ratio, B fitted",
              "R1 over expected: network", "program", "within 1, 2 σ (%)"]  # fmt: skip
    rows = [_row(name, sets) for name, sets in found.items() if sets]
    print(tabulate(rows, header, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
