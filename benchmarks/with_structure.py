"""
What a second correction with a provisional structure gives, and what a wrong one does.

    python benchmarks/with_structure.py [--data FOLDER] [--nproc N] [--draws 20]
        [--only measured simulated] [--sets quartz glycine abiraterone]

One line for each provisional structure: R1 against the complete one of the plain merge, of
the general model and of this step; R1 of held-out observations before and after, with z; how
high the omitted atoms stand in the Fo - Fc map of the provisional structure, in standard deviations of the map, mean over
atoms, and how many are among as many highest peaks as atoms were omitted. Of an atom too
many it is the map at its place: negative where the data deny it.

- "complete"; "omitted": random 15 % of atoms other than hydrogen, --draws times; "without
  hydrogen"; "moved": all atoms by 0.3 Å; "one more": a carbon atom in a void.
- simulated: paracetamol and random organic compounds, thickness given and fitted, with the
  truth known and the coverage of the predicted errors.

No figure of the measured sets may be used to choose among variants. Minutes a line for
abiraterone, seconds for the others.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tabulate import tabulate

from cctbx import miller, xray
from cctbx.array_family import flex
from dials.array_family import flex as dials_flex

from dials_spread.correction.apply.against_reference import find_reference, match
from dials_spread.correction.apply.correct import get_subject
from dials_spread.correction.apply.estimates import choose_model, estimate
from dials_spread.correction.apply.subject import Subject
from dials_spread.general_model.gather import true_amplitudes
from dials_spread.input_files import read_files
from dials_spread.refinement.difference_map import difference_map, nearest
from dials_spread.refinement.model import electron_model, hydrogen_atoms
from dials_spread.rfactor import amplitudes, r_factor
from dials_spread.scattering.thickness_model import ThicknessModel
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.driver import Resources
from dials_spread.simulation.noise import NoiseModel
from dials_spread.simulation.random_compounds import Wishes, random_compound
from dials_spread.structures.structure_files import read_structure
from dials_spread.thickness.curves import Shape
from dials_spread.with_structure import correct_with_structure, lay_on_data

MEASURED = ("quartz", "glycine", "abiraterone")
FOUND = 0.5
"""A peak so near to a site is that atom [Å]."""

COLUMNS = (
    *("set", "structure", "R1 merge", "model", "this", "held out", "after", "z"),
    *("steps", "peak merge", "model", "this", "true", "found", "of", "hand z", "s"),
)


@dataclass(frozen=True)
class Data:
    """Measured or simulated data, with true amplitudes and, where known, thicknesses."""

    name: str
    subject: Subject
    experiments: list
    tables: list
    structure: xray.structure
    F: np.ndarray
    shapes: list[Shape] | None = None


def measured(name: str, folder: Path) -> Data:
    """One of the measured sets."""
    path = folder / name / "integrated"
    data = read_files([f"{path}.expt"], [f"{path}.refl"])
    subject = get_subject(data.experiments, data.tables, force=True)
    reference = find_reference(subject.observations, name)
    found = match(reference, subject.prepared, np.random.default_rng(0))
    structure = read_structure(name)
    return Data(name, subject, data.experiments, data.tables, structure, found.f_calc)


def simulated(nproc: int | None) -> Iterator[Data]:
    """Paracetamol and random compounds."""
    for number, name in enumerate(("paracetamol", "random 1", "random 2", "random 3")):
        rng = np.random.default_rng([21, number])
        wishes = Wishes(kind="organic", volume=(400, 800))
        structure = (
            read_structure(name) if name[0] == "p" else random_compound(rng, wishes)
        )
        experiments, table = simulate_experiments(
            structure, rng, n_crystals=3, scan_width=[60.0] * 3, d_min=0.9,
            wave="dynamical", resources=Resources(nproc),
            thickness=ThicknessModel(median=500.0, spread=0.4, within=0.4),
            noise=NoiseModel(mean_counts=2000.0, image_spread=0.02),
        )  # fmt: skip
        tables = [table.select(table["id"] == k) for k in range(3)]
        subject = get_subject(experiments, tables, force=True)
        F = true_amplitudes(subject.observations, tables)
        path = [np.median(t["truth.thickness"].as_numpy_array()) for t in tables]
        shapes = [Shape(float(t), within=0.4) for t in path]
        yield Data(name, subject, list(experiments), tables, structure, F, shapes)


def without(structure: xray.structure, left_out: np.ndarray) -> xray.structure:
    """The structure without some atoms."""
    return structure.select(dials_flex.bool([not x for x in left_out]))


def moved(structure: xray.structure, by: float, rng: np.random.Generator):
    """All atoms moved in random directions [Å]."""
    other, cell = structure.deep_copy_scatterers(), structure.unit_cell()
    for scatterer in other.scatterers():
        step = rng.standard_normal(3)
        site = np.array(cell.orthogonalize(scatterer.site))
        site += by * step / np.linalg.norm(step)
        scatterer.site = cell.fractionalize(tuple(site))
    return other


def one_more(structure: xray.structure, rng: np.random.Generator):
    """A carbon atom at the place of many that is farthest from all others, and it."""
    sites = rng.random((500, 3))
    distance, _ = nearest(structure, sites, np.array(structure.sites_frac()))
    site = sites[np.argmax(distance)]
    other = structure.deep_copy_scatterers()
    other.add_scatterer(
        xray.scatterer("X1", site=tuple(site), u=0.03, scattering_type="C")
    )
    return other, site


def differences_of(data: Data, provisional: xray.structure, F: np.ndarray):
    """Structure and intensities, on its scale, of the Fo - Fc map."""
    measured_ = data.subject.prepared.measured
    indices = [tuple(int(x) for x in h) for h in measured_.unique_index]
    points = miller.set(
        provisional.crystal_symmetry(), flex.miller_index(indices), anomalous_flag=False
    )
    model = electron_model(provisional, float(points.d_min()))
    f_c = points.structure_factors_from_scatterers(model, algorithm="direct").f_calc()
    calculated = np.abs(np.array(f_c.data()))
    known = np.isfinite(F)
    k = np.sum(F[known] * calculated[known]) / np.sum(F[known] ** 2)
    kept = flex.bool([bool(x) for x in known])
    return model, f_c.select(kept), k * F[known]


def height_at(data: Data, provisional: xray.structure, F: np.ndarray, site) -> float:
    """The Fo - Fc map at a site, in its standard deviations: by direct summation."""
    _, f_c, f_o = differences_of(data, provisional, F)
    off = (f_o - np.abs(np.array(f_c.data()))) * np.exp(
        1j * np.angle(np.array(f_c.data()))
    )
    every = f_c.customized_copy(data=flex.complex_double(off)).expand_to_p1()
    every = every.generate_bijvoet_mates()
    hkl = np.array(list(every.indices()), float)
    values = np.array(every.data())
    wave = np.exp(-2j * np.pi * (hkl @ np.asarray(site)))
    return float(np.sum(values * wave).real / np.sqrt(np.sum(np.abs(values) ** 2)))


def peaks(
    data: Data, provisional: xray.structure, F: np.ndarray, sites: np.ndarray
) -> tuple[float, int]:
    """Mean height of the map at some sites [σ], and how many are among the highest."""
    if not len(sites):
        return float("nan"), 0
    model, f_c, f_o = differences_of(data, provisional, F)
    array = miller.array(miller.set(f_c, f_c.indices()), flex.double(f_o**2))
    found = difference_map(model, array, 60 + len(sites)).peaks
    heights = np.array([p.in_sigma for p in found])
    distance, which = nearest(
        provisional, sites, np.array([p.site for p in found]).reshape(-1, 3)
    )
    own = np.where(distance < FOUND, heights[which], 0.0)
    among = (distance < FOUND) & (which < len(sites))
    return float(own.mean()), int(among.sum())


def line(
    data: Data,
    title: str,
    provisional: xray.structure,
    sites: np.ndarray,
    nproc: int | None,
    shapes: list[Shape] | None = None,
    false: np.ndarray | None = None,
) -> list:
    """One provisional structure."""
    subject = data.subject
    first = estimate(subject.counted, choose_model(), nproc)
    plain = amplitudes(subject.prepared.merged)
    known = np.isfinite(data.F)

    def r1(F: np.ndarray) -> float:
        return float(r_factor(F[known], data.F[known])[0])

    told: list = [data.name, title, r1(plain), r1(first.F)]
    start = time.process_time()
    try:
        rng = np.random.default_rng(0)
        laid = lay_on_data(provisional, title, subject, rng)
    except ValueError:
        return [*told, "refused"]
    found = correct_with_structure(
        subject, first, laid.structure, laid.choice, data.experiments, data.tables,
        nproc=nproc, shapes=shapes,
    )  # fmt: skip
    taken = time.process_time() - start
    held = found.by_observation
    told += [r1(found.estimate.F), held.before, held.after, held.z, found.n_steps]
    sets = (plain, first.F, found.estimate.F, np.where(known, data.F, np.nan))
    if false is None:
        heights = [peaks(data, provisional, F, sites) for F in sets]
    else:
        heights = [(height_at(data, provisional, F, false), 0) for F in sets]
    hand = found.hands.z if found.hands else float("nan")
    told += [h[0] for h in heights]
    return [*told, heights[2][1], len(sites), hand, taken]


def lines(data: Data, draws: int, nproc: int | None) -> Iterator[list]:
    """All provisional structures of a set."""
    structure, rng = data.structure, np.random.default_rng(15)
    sites = np.array(structure.sites_frac())
    hydrogen, none = hydrogen_atoms(structure), np.empty((0, 3))
    if data.shapes is not None:
        title = "complete, thickness given"
        yield line(data, title, structure, none, nproc, data.shapes)
    yield line(data, "complete", structure, none, nproc)
    heavy = np.flatnonzero(~hydrogen)
    for draw in range(draws):
        left_out = np.zeros(len(sites), bool)
        n = max(1, round(0.15 * len(heavy)))
        left_out[rng.choice(heavy, n, replace=False)] = True
        title = f"omitted {draw + 1} ({n} of {len(heavy)})"
        yield line(data, title, without(structure, left_out), sites[left_out], nproc)
    if hydrogen.any():
        bare = without(structure, hydrogen)
        yield line(data, "without hydrogen", bare, sites[hydrogen], nproc)
    yield line(data, "moved by 0.3 Å", moved(structure, 0.3, rng), none, nproc)
    other, site = one_more(structure, rng)
    yield line(data, "one atom too many", other, none, nproc, false=site)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--nproc", type=int, default=None)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--only", nargs="*", default=["simulated", "measured"])
    parser.add_argument("--sets", nargs="*", default=list(MEASURED))
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    rows: list[list] = []
    sets: list[Iterator[Data]] = []
    if "simulated" in args.only:
        sets.append(simulated(args.nproc))
    if "measured" in args.only:
        sets.append(measured(name, args.data) for name in args.sets)
    for some in sets:
        for data in some:
            for row in lines(data, args.draws, args.nproc):
                rows.append(row)
                print(*(f"{x:.3f}" if isinstance(x, float) else x for x in row))
    print(tabulate(rows, COLUMNS, floatfmt=".3f"))


if __name__ == "__main__":
    main()
