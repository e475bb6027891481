"""
What a second correction with a provisional structure gives, and what a wrong one does.

    python benchmarks/with_structure.py [--data FOLDER] [--nproc N] [--draws 20]
        [--only measured simulated] [--sets quartz glycine abiraterone ...]
        [--json FILE] [--cases complete without moved other false]

One line for each provisional structure. Figures with three parts are those of the plain
merge, of the general model, and of this step, in this order; those with a fourth of true
|F|. A step that held-out observations do not bear out is not taken: then this step gives
what the general model does.

- R1 against kinematic |F| of the complete structure.
- held out: Σ|ΔF|/ΣFo of observations predicted without themselves, before and after the
  step, and z; the same of reflections left out whole, and of whole crystals, each predicted
  from the others.
- peaks: height of the omitted atoms in the Fo - Fc map of the provisional structure, in
  standard deviations of the map, mean over atoms, and rank of the best of them; of an atom
  too many, the map at its place, negative where the data deny it.
- width: how far observations are followed; tilts: of the orientations [degrees].
- H found: the structure without hydrogen is refined, and hydrogen sites within 0.3 Å of one
  of as many highest peaks are counted.
- shift: mean distance of refined atoms from the published ones [Å].
- says: what the command prints of a wrong structure, where it is not refused: "no step", how
  far refinement moves atoms, and U of the false atom where the log doubts it.
- expected R1, and the share of amplitudes within one and two of their errors.

Structures: "complete"; "without" each atom other than hydrogen, or random 15 % of them,
--draws times, where there are more than ten; "without hydrogen"; "moved": all atoms by
0.3 Å; "other": random atoms of the same elements in the same cell; "false atom": a carbon atom
in a void. Simulated: paracetamol and random organic compounds, thickness given and fitted.

No figure of the measured sets may be used to choose among variants. Minutes a line for
abiraterone, seconds for the others.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from tabulate import tabulate

from cctbx import miller, xray
from cctbx.array_family import flex

from dials_spread.correction.apply.against_reference import find_reference, match
from dials_spread.correction.apply.correct import correct_intensities, get_subject
from dials_spread.correction.apply.estimates import (
    CorrectedAmplitudes,
    choose_model,
    estimate,
)
from dials_spread.correction.apply.merged_files import merged_intensities
from dials_spread.correction.apply.subject import Subject
from dials_spread.general_model.gather import true_amplitudes
from dials_spread.input_files import read_files
from dials_spread.refinement import RefinementSettings, hydrogen_peaks, refine
from dials_spread.refinement.difference_map import difference_map, nearest
from dials_spread.refinement.model import electron_model, hydrogen_atoms
from dials_spread.report.ml_correct.refined_structure_report import atoms_sentences
from dials_spread.rfactor import amplitudes, r_factor
from dials_spread.scattering.form_factors import parse_type
from dials_spread.scattering.thickness_model import ThicknessModel
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.driver import Resources
from dials_spread.simulation.noise import NoiseModel
from dials_spread.simulation.random_compounds import Wishes, random_compound
from dials_spread.simulation.structures import random_structure
from dials_spread.structures.structure_files import read_structure
from dials_spread.thickness.curves import Shape
from dials_spread.with_structure import (
    StructureInput,
    correct_with_structure,
    lay_on_data,
    refine_against,
)

MEASURED = ("quartz", "glycine", "abiraterone")
MORE = ("natrolite", "carbamazepine")
"""Measured, too; not looked at before the errors were as they are."""

FOUND = 0.5
"""A peak so near to a site is that atom [Å]."""

SINGLY = 10
"""Up to so many atoms are left out one by one."""

FALSE_ATOMS = 5

COLUMNS = (
    *(
        "set",
        "structure",
        "R1",
        "held out",
        "z",
        "by reflection",
        "by crystal",
        "z",
        "steps",
    ),
    "width",
    "tilts",
    *("peaks", "ranks", "of", "H found", "of", "shift", "R1 expected", "within 1, 2σ"),
    *("hand z", "says", "s"),
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
    nproc: int | None
    shapes: list[Shape] | None = None

    @cached_property
    def first(self) -> CorrectedAmplitudes:
        """Without a structure."""
        return estimate(self.subject.counted, choose_model(), self.nproc)

    @cached_property
    def plain(self) -> np.ndarray:
        """Merged amplitudes."""
        return amplitudes(self.subject.prepared.with_damage.merged())


def measured(name: str, folder: Path, nproc: int | None) -> Data:
    """One of the measured sets."""
    path = folder / name / "integrated"
    data = read_files([f"{path}.expt"], [f"{path}.refl"])
    subject = get_subject(data.experiments, data.tables, force=True, nproc=nproc)
    source = str(folder / "structures" / f"{name}.cif") if name in MORE else name
    reference = find_reference(subject.observations, source)
    found = match(reference, subject.prepared, np.random.default_rng(0))
    structure = read_structure(source)
    given = (name, subject, data.experiments, data.tables, structure, found.f_calc)
    return Data(*given, nproc)


def three_crystals(
    structure: xray.structure, rng: np.random.Generator, wave: str, nproc: int | None
) -> tuple[Subject, list, list, np.ndarray]:
    """Simulate three of about 500 Å; what Data has of them, and the true amplitudes."""
    experiments, table = simulate_experiments(
        structure, rng, n_crystals=3, scan_width=[60.0] * 3, d_min=0.9, wave=wave,
        resources=Resources(nproc),
        thickness=ThicknessModel(median=500.0, spread=0.4, within=0.4),
        noise=NoiseModel(mean_counts=2000.0, image_spread=0.02),
    )  # fmt: skip
    tables = [table.select(table["id"] == k) for k in range(3)]
    subject = get_subject(experiments, tables, force=True)
    F = true_amplitudes(subject.observations, tables)
    return subject, list(experiments), tables, F


def simulated(nproc: int | None) -> Iterator[Data]:
    """Paracetamol and random compounds."""
    for number, name in enumerate(("paracetamol", "random 1", "random 2", "random 3")):
        rng = np.random.default_rng([21, number])
        wishes = Wishes(kind="organic", volume=(400, 800))
        structure = (
            read_structure(name) if name[0] == "p" else random_compound(rng, wishes)
        )
        subject, experiments, tables, F = three_crystals(
            structure, rng, "dynamical", nproc
        )
        path = [np.median(t["truth.thickness"].as_numpy_array()) for t in tables]
        shapes = [Shape(float(t), within=0.4) for t in path]
        yield Data(name, subject, experiments, tables, structure, F, nproc, shapes)


def without(structure: xray.structure, left_out: np.ndarray) -> xray.structure:
    """The structure without some atoms."""
    return structure.select(flex.bool([not x for x in left_out]))


def moved(structure: xray.structure, by: float, rng: np.random.Generator):
    """All atoms moved in random directions [Å]."""
    other, cell = structure.deep_copy_scatterers(), structure.unit_cell()
    for scatterer in other.scatterers():
        step = rng.standard_normal(3)
        site = np.array(cell.orthogonalize(scatterer.site))
        site += by * step / np.linalg.norm(step)
        scatterer.site = cell.fractionalize(tuple(site))
    return other


def other_molecule(structure: xray.structure, rng: np.random.Generator):
    """Atoms of the same elements, anywhere in the same cell."""
    n: dict[str, float] = {}
    for s in structure.scatterers():
        element = parse_type(s.scattering_type)[0]
        n[element] = n.get(element, 0.0) + s.multiplicity() * s.occupancy
    heavy = {k: v for k, v in n.items() if k != "H"}
    total = sum(heavy.values())
    return random_structure(
        rng, structure.unit_cell().parameters(),
        str(structure.space_group_info()), {k: v / total for k, v in heavy.items()},
        n.get("H", 0.0) / total,
    )  # fmt: skip


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


def points_of(data: Data, structure: xray.structure) -> miller.set:
    """The measured reflections."""
    measured_ = data.subject.prepared.measured
    indices = [tuple(int(x) for x in h) for h in measured_.unique_index]
    return miller.set(
        structure.crystal_symmetry(), flex.miller_index(indices), anomalous_flag=False
    )


def differences_of(data: Data, provisional: xray.structure, F: np.ndarray):
    """Structure and intensities, on its scale, of the Fo - Fc map."""
    points = points_of(data, provisional)
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
    """Mean height of the map at some sites [σ], and the rank of the best; 0 for none."""
    model, f_c, f_o = differences_of(data, provisional, F)
    array = miller.array(miller.set(f_c, f_c.indices()), flex.double(f_o**2))
    found = difference_map(model, array, 60 + len(sites)).peaks
    heights = np.array([p.in_sigma for p in found])
    distance, which = nearest(
        provisional, sites, np.array([p.site for p in found]).reshape(-1, 3)
    )
    own = np.where(distance < FOUND, heights[which], 0.0)
    ranks = which[distance < FOUND]
    return float(own.mean()), int(ranks.min()) + 1 if len(ranks) else 0


def as_measured(data: Data, structure: xray.structure, I, sigma) -> miller.array:
    """Intensities for a refinement."""
    kept = np.isfinite(I) & np.isfinite(sigma) & (sigma > 0)
    array = miller.array(points_of(data, structure), flex.double(I), flex.double(sigma))
    array = array.select(flex.bool([bool(x) for x in kept]))
    return array.set_observation_type_xray_intensity().map_to_asu()


def intensity_sets(data: Data, estimate_: CorrectedAmplitudes) -> list:
    """Of the plain merge, the general model and this step, as they are written."""
    prepared, found = data.subject.prepared, []
    found.append(
        as_measured(
            data, data.structure, prepared.with_damage.merged(), prepared.merged_sigma
        )
    )
    for one in (data.first, estimate_):
        result = correct_intensities(
            data.subject, strength=1.0, ready=one, nproc=data.nproc
        )
        array = merged_intensities(result)
        I, sigma = (x.as_numpy_array() for x in (array.data(), array.sigmas()))
        found.append(as_measured(data, data.structure, I, sigma))
    return found


def true_intensities(data: Data) -> miller.array:
    """Of the complete structure, with small errors."""
    I = data.F**2
    return as_measured(data, data.structure, I, 0.02 * np.sqrt(I * np.nanmean(I)))


def hydrogen_found(data: Data, sets: list) -> list[int]:
    """Hydrogen sites within 0.3 Å of one of as many peaks, for each set."""
    own = RefinementSettings(start_shift=0.0)
    return [
        hydrogen_peaks(
            data.structure, one, settings=own, rng=np.random.default_rng(0)
        ).n_found
        for one in sets
    ]


def shifts_of(data: Data, sets: list) -> list[float]:
    """Mean distance of refined atoms from those given [Å]."""
    own = RefinementSettings(start_shift=0.0)
    found = [
        refine(data.structure, one, settings=own, rng=np.random.default_rng(0))
        for one in sets
    ]
    return [one.mean_shift for one in found]


def says(data: Data, case: Case, array: miller.array) -> str:
    """What is printed of a structure, refined against the corrected intensities."""
    one = refine_against(case.structure, array)
    told = " ".join(atoms_sentences(one, case.structure))
    moved_by = re.search(r"moved atoms by ([\d.]+)", told)
    smeared = re.search(r"X1: U = [\d.]+", told)
    found = [f"moved {moved_by.group(1)} Å"] if moved_by else []
    found += [smeared.group()] if smeared else []
    return ", ".join(found)


def parts(values, form: str = ".3f") -> str:
    """Figures of several sets."""
    return " / ".join(f"{x:{form}}" for x in values)


@dataclass(frozen=True)
class Case:
    """A provisional structure: sites of atoms that it lacks, or of one too many."""

    title: str
    structure: xray.structure
    sites: np.ndarray
    shapes: list[Shape] | None = None
    false: np.ndarray | None = None
    hydrogen: bool = False
    refined: bool = False
    wrong: bool = False


def structure_input(
    data: Data,
    structure: xray.structure,
    title: str,
    shapes: list[Shape] | None = None,
) -> StructureInput:
    """What a second correction starts from; ValueError where it is of another compound."""
    laid = lay_on_data(structure, title, data.subject, np.random.default_rng(0))
    return StructureInput(
        data.subject, data.first, laid.structure, laid.choice, data.experiments,
        data.tables, nproc=data.nproc, shapes=shapes,
    )  # fmt: skip


def line(data: Data, case: Case) -> dict:
    """One provisional structure."""
    first = data.first
    known = np.isfinite(data.F)

    def r1(F: np.ndarray) -> float:
        return float(r_factor(F[known], data.F[known])[0])

    told: dict = {"set": data.name, "structure": case.title}
    told["R1"] = [r1(data.plain), r1(first.F)]
    start = time.process_time()
    try:
        given = structure_input(data, case.structure, case.title, case.shapes)
    except ValueError:
        return {**told, "refused": True}
    found = correct_with_structure(given, hand=case.title == "complete")
    told["s"] = time.process_time() - start
    told["R1"].append(r1(found.estimate.F))
    told["held out"] = found.by_observation.as_dict()
    told["by reflection"] = found.by_reflection.as_dict()
    told["by crystal"] = found.by_crystal.as_dict()
    told["steps"] = found.n_steps
    told["width"], told["tilts"] = found.step.width, found.tilts.as_dict()
    told["hand z"] = found.hands.z if found.hands else None
    own = found.estimate
    scale = r_factor(own.F[known], data.F[known])[1]
    z = np.abs(scale * own.F - data.F)[known] / (scale * own.sigma_F[known])
    told["expected"] = own.predicted_r1
    told["within"] = [float(np.mean(z < 1)), float(np.mean(z < 2))]
    sets = (data.plain, first.F, own.F, np.where(known, data.F, np.nan))
    if case.false is not None:
        told["peaks"] = [height_at(data, case.structure, F, case.false) for F in sets]
    elif len(case.sites):
        heights = [peaks(data, case.structure, F, case.sites) for F in sets]
        told["peaks"], told["ranks"] = [list(x) for x in zip(*heights)]
        told["of"] = len(case.sites)
    if case.wrong:
        told["says"] = says(data, case, intensity_sets(data, own)[-1])
    if case.hydrogen or case.refined:
        sets = intensity_sets(data, own)
        if case.hydrogen:
            told["H found"] = hydrogen_found(data, [*sets, true_intensities(data)])
        if case.refined:
            told["shift"] = shifts_of(data, sets)
    return told


def row(told: dict) -> list:
    """A line of the table."""
    start = [told["set"], told["structure"], parts(told["R1"])]
    if told.get("refused"):
        return [*start, "refused"]
    held, crystals = told["held out"], told["by crystal"]
    left_out = told["by reflection"]
    n = told.get("of")
    return [
        *start, parts([held["before"], held["after"]]), f"{held['z']:.1f}",
        parts([left_out["before"], left_out["after"]]),
        parts([crystals["before"], crystals["after"]]), f"{crystals['z']:.1f}",
        told["steps"], told["width"], f"{told['tilts']['rms_degrees'] or 0:.2f}",
        parts(told.get("peaks", ()), ".1f"),
        parts(told.get("ranks", ()), "d"), n, parts(told.get("H found", ()), "d"),
        n if "H found" in told else None, parts(told.get("shift", ())),
        f"{told['expected']:.3f}", parts(told["within"], ".2f"),
        None if told["hand z"] is None else f"{told['hand z']:.1f}",
        ", ".join(["no step"] * (not told["steps"]) + [told.get("says", "")]),
        f"{told['s']:.0f}",
    ]  # fmt: skip


def cases(data: Data, draws: int) -> Iterator[Case]:
    """All provisional structures of a set."""
    structure, rng = data.structure, np.random.default_rng(15)
    sites = np.array(structure.sites_frac())
    hydrogen, none = hydrogen_atoms(structure), np.empty((0, 3))
    if data.shapes is not None:
        title = "complete, thickness given"
        yield Case(title, structure, none, data.shapes)
    yield Case("complete", structure, none, refined=True)
    if hydrogen.any():
        bare = without(structure, hydrogen)
        yield Case("without hydrogen", bare, sites[hydrogen], hydrogen=True)
    yield Case("moved by 0.3 Å", moved(structure, 0.3, rng), none, wrong=True)
    yield Case("other", other_molecule(structure, rng), none, wrong=True)
    for number in range(FALSE_ATOMS if len(sites) < 20 else 2):
        other, site = one_more(structure, rng)
        yield Case(f"false atom {number + 1}", other, none, false=site, wrong=True)
    heavy = np.flatnonzero(~hydrogen)
    if len(heavy) <= SINGLY:
        chosen = [[i] for i in rng.permutation(heavy)[:draws]]
    else:
        n = round(0.15 * len(heavy))
        chosen = [rng.choice(heavy, n, replace=False) for _ in range(draws)]
    for own in chosen:
        left_out = np.zeros(len(sites), bool)
        left_out[own] = True
        names = ", ".join(structure.scatterers()[int(i)].label for i in own)
        yield Case(f"without {names}", without(structure, left_out), sites[left_out])


def means(told: list[dict]) -> list[list]:
    """The mean line of structures that lack atoms, of each set."""
    rows = []
    for name in dict.fromkeys(one["set"] for one in told):
        own = [x for x in told if x["set"] == name and x["structure"] != "refused"]
        own = [x for x in own if "peaks" in x and "of" in x and "H found" not in x]
        if not own:
            continue
        r1, heights = (
            np.mean([x[key] for x in own], axis=0) for key in ("R1", "peaks")
        )
        relative = heights / heights[-1]
        taken = sum(x["steps"] > 0 for x in own)
        rows.append(
            [name, f"{len(own)} incomplete, mean", parts(r1), parts(heights, ".1f"),
             parts(relative[:-1], ".2f"), f"{taken} taken"]
        )  # fmt: skip
    return rows


def arguments(doc: str, sets: Sequence[str], draws: int) -> argparse.ArgumentParser:
    """What benchmarks of measured sets and draws of atoms ask for."""
    parser = argparse.ArgumentParser(description=doc.split("\n\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--nproc", type=int, default=None)
    parser.add_argument("--draws", type=int, default=draws)
    every = [*MEASURED, *MORE]
    parser.add_argument("--sets", nargs="*", default=[*sets], choices=every)
    parser.add_argument("--json", type=Path, help="file for all figures")
    return parser


def main() -> None:
    """Print the table."""
    parser = arguments(__doc__, [*MEASURED, *MORE], draws=20)
    parser.add_argument("--only", nargs="*", default=["simulated", "measured"])
    parser.add_argument("--cases", nargs="*", help="titles that begin so")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    told: list[dict] = []
    sets: list[Iterator[Data]] = []
    if "simulated" in args.only:
        sets.append(simulated(args.nproc))
    if "measured" in args.only:
        sets.append(measured(name, args.data, args.nproc) for name in args.sets)
    for some in sets:
        for data in some:
            for case in cases(data, args.draws):
                if args.cases and not case.title.startswith(tuple(args.cases)):
                    continue
                told.append(line(data, case))
                print(*row(told[-1]), sep=" | ", flush=True)
                if args.json:
                    args.json.write_text(json.dumps(told))
    print(tabulate(map(row, told), COLUMNS, disable_numparse=True))
    names = ("set", "", "R1", "peaks", "of those of true |F|", "steps")
    print(tabulate(means(told), names, disable_numparse=True))


if __name__ == "__main__":
    main()
