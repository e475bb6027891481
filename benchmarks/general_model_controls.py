"""
What the general model does for compounds that it has never seen, beside its controls.

    python benchmarks/general_model_controls.py [--model FILE] [--data FOLDER] [--nproc N]

R1 against kinematic |F| and its ratio to the plain merge, geometric means at the end, for

- T: the four built-in structures simulated as 3 and as 6 crystals of 40 to 80°;
- O: the same as 24 crystals;
- R: measured quartz, abiraterone acetate and glycine, where the folder has them.

Methods: median; weights 1/(σ² + (0.2 I)²); mW, the coupling-weighted mean; the model.
Controls: law and isotonic map, both fitted to the answer; the model with beam directions
turned at random, with kinematic data, and with the Lorentz factor left out.
No figure of this may be used to choose among variants: that is what the figures out of
fold are for, which the model's card holds.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sklearn.isotonic import IsotonicRegression

from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentListFactory

from dials_spread.correction.apply.against_reference import find_reference, match
from dials_spread.correction.apply.correct import get_subject
from dials_spread.correction.apply.estimates import SHIPPED
from dials_spread.correction.model.general import GeneralModel, correct_prepared, unpack
from dials_spread.correction.model.model_file import read_model
from dials_spread.correction.validate.controls import apply_law, fit_law
from dials_spread.general_model.gather import measured_of, true_amplitudes
from dials_spread.observations import Observations
from dials_spread.prepare.prepared import Prepared, prepare
from dials_spread.prepare.weights import estimate_amplitudes
from dials_spread.rfactor.r1 import r_factor
from dials_spread.scattering.thickness_model import ThicknessModel
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.driver import Resources
from dials_spread.simulation.noise import NoiseModel
from dials_spread.structures.structure_files import read_structure

D_MIN = {"paracetamol": 0.8, "quartz": 0.7, "abiraterone": 0.9, "glycine": 0.8}
MEASURED = {
    "quartz": ("quartz/integrated", "quartz"),
    "abiraterone": ("abiraterone/integrated", "abiraterone"),
    "glycine": ("glycine/integrated", "glycine"),
}
METHODS = ("median", "sigma", "weights", "model")
CONTROLS = ("law", "isotonic", "no geometry")


@dataclass(frozen=True)
class Case:
    """A compound with its true amplitudes."""

    name: str
    kind: str
    measured: Observations
    F: np.ndarray


def simulated(nproc: int | None, wave: str = "dynamical") -> Iterator[Case]:
    """The built-in structures."""
    for number, (name, d_min) in enumerate(D_MIN.items()):
        for kind, n in (("T", 3), ("T", 6), ("O", 24)):
            rng = np.random.default_rng([number, n])
            widths = [float(w) for w in rng.uniform(40, 80, n)]
            experiments, reflections = simulate_experiments(
                read_structure(name), rng, n_crystals=n, scan_width=widths, d_min=d_min,
                wave=wave, resources=Resources(nproc),
                thickness=ThicknessModel(median=420.0, spread=0.5, within=0.4),
                noise=NoiseModel(mean_counts=800.0, extra_error=0.05, image_spread=0.03),
            )  # fmt: skip
            tables = split(reflections, len(experiments))
            observations, measured = measured_of(experiments, tables)
            F = true_amplitudes(observations, tables)
            yield Case(f"{name}, {n} crystals", kind, measured, F)


def split(table: flex.reflection_table, n: int) -> list[flex.reflection_table]:
    """One table for each experiment."""
    return [table.select(table["id"] == k) for k in range(n)]


def from_files(folder: Path) -> Iterator[Case]:
    """The measured sets."""
    for name, (stem, structure) in MEASURED.items():
        path = folder / stem
        if not path.with_suffix(".expt").exists():
            print(f"{name}: no {path}.expt")
            continue
        experiments = ExperimentListFactory.from_json_file(f"{path}.expt", False)
        table = flex.reflection_table.from_file(f"{path}.refl")
        subject = get_subject(experiments, split(table, len(experiments)), force=True)
        reference = find_reference(subject.observations, structure)
        found = match(reference, subject.prepared, np.random.default_rng(0))
        yield Case(f"{name}, measured", "R", subject.prepared.measured, found.f_calc)


def r1(F_o: np.ndarray, case: Case) -> float:
    """R1 of all amplitudes that are known."""
    known = np.isfinite(case.F)
    return float(r_factor(F_o[known], case.F[known])[0])


def model_amplitudes(prepared: Prepared, model: GeneralModel) -> np.ndarray:
    """Corrected amplitudes; a crossing listed several times counts once."""
    return correct_prepared(model, prepared)[0].F


def assess(case: Case, model: GeneralModel) -> dict[str, float]:
    """R1 by every method and control."""
    prepared = prepare(case.measured)
    plain = np.sqrt(np.maximum(prepared.with_damage.merged(), 0))
    found = {"merge": r1(plain, case)}
    for method in METHODS[:3]:
        E = estimate_amplitudes(prepared, method)
        found[method] = r1(E * np.sqrt(prepared.N), case)
    found["model"] = r1(model_amplitudes(prepared, model), case)
    known = np.isfinite(case.F)
    law = fit_law(plain[known], case.F[known])
    found["law"] = r1(apply_law(plain, law), case)
    found["isotonic"] = r1(_isotonic(plain, case.F), case)
    turned = prepare(case.measured.with_beam(_turned(case.measured)))
    found["no geometry"] = r1(model_amplitudes(turned, model), case)
    return found


def _isotonic(plain: np.ndarray, F: np.ndarray) -> np.ndarray:
    known = np.isfinite(F)
    fitted = IsotonicRegression(out_of_bounds="clip").fit(plain[known], F[known])
    return fitted.predict(plain)


def _turned(measured: Observations) -> np.ndarray:
    """Beam directions at random, each observation its own."""
    beam = np.random.default_rng(0).standard_normal(measured.beam.shape)
    return beam / np.linalg.norm(beam, axis=1)[:, None]


def without_lorentz(case: Case) -> Case:
    """The same with intensities as they would be without the Lorentz factor."""
    measured = case.measured
    factor = np.maximum(measured.rate / np.median(measured.rate), 1e-3)
    wrong = measured.divided(factor)
    return replace(case, measured=wrong)


def print_table(rows: list[tuple[Case, dict[str, float]]]) -> None:
    """R1 of each set, then geometric means of ratios by kind."""
    columns = ("merge", *METHODS, *CONTROLS)
    print(f"{'R1':28s}" + "".join(f"{c:>12s}" for c in columns))
    for case, found in rows:
        print(f"{case.name:28s}" + "".join(f"{found[c]:12.3f}" for c in columns))
    print("ratio to the plain merge, geometric mean")
    for kind in dict.fromkeys(case.kind for case, _ in rows):
        own = [found for case, found in rows if case.kind == kind]
        ratios = [
            np.exp(np.mean([np.log(f[c] / f["merge"]) for f in own])) for c in columns
        ]
        title = f"{kind} ({len(own)} sets)"
        print(f"{title:28s}" + "".join(f"{x:12.3f}" for x in ratios))


def print_stress(model: GeneralModel, nproc: int | None) -> None:
    """Kinematic data, and data without their Lorentz factor."""
    for title, cases in (
        ("kinematic data", simulated(nproc, "kinematic")),
        ("Lorentz factor missing", map(without_lorentz, simulated(nproc))),
    ):
        print(f"{title}: R1 of the plain merge, and by the model")
        for case in cases:
            prepared = prepare(case.measured)
            before = r1(np.sqrt(np.maximum(prepared.with_damage.merged(), 0)), case)
            after = r1(model_amplitudes(prepared, model), case)
            print(f"  {case.name:26s}{before:8.3f}{after:8.3f}")


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--model", default=str(SHIPPED))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--nproc", type=int, default=None)
    parser.add_argument("--measured-only", action="store_true")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    model = unpack(read_model(args.model))
    cases = list(from_files(args.data))
    if not args.measured_only:
        cases = [*simulated(args.nproc), *cases]
    print_table([(case, assess(case, model)) for case in cases])
    if not args.measured_only:
        print_stress(model, args.nproc)


if __name__ == "__main__":
    main()
