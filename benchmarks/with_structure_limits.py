"""
What limits a correction with a structure: simulated data, with one thing at a time added.

    python benchmarks/with_structure_limits.py [--nproc N] [--compounds 3 2] [--json FILE]

Three crystals of a random organic compound, of which the complete structure is given. "Nothing
else" has multiple scattering in crystals of uniform thickness, without counting noise; each of
the other lines adds one thing that the correction does not know of, the last but one several
at once. Columns: R1 of the plain merge, of the general model and of this step against true
|F|; what held-out observations differ by from their predictions before and after the step, and
z; steps taken; expected R1; share of amplitudes within one and two of their errors. A minute
a line.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tabulate import tabulate

from cctbx import xray
from scitbx import matrix

from dials_spread.correction.apply.correct import get_subject
from dials_spread.correction.apply.estimates import choose_model, estimate
from dials_spread.general_model.gather import true_amplitudes
from dials_spread.reindexing import Reindexing
from dials_spread.rfactor import amplitudes, r_factor
from dials_spread.scattering.beams import BeamSelection
from dials_spread.scattering.charges import apply_charges
from dials_spread.scattering.form_factors import parse_type
from dials_spread.scattering.thickness_model import ThicknessModel
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.driver import Resources
from dials_spread.simulation.noise import NoiseModel
from dials_spread.simulation.random_compounds import Wishes, random_compound
from dials_spread.with_structure import StructureInput, correct_with_structure

SAME = Reindexing("h,k,l", np.eye(3), True)
COLUMNS = ("added", "R1", "held out", "z", "steps", "R1 expected", "within 1, 2σ")


@dataclass(frozen=True)
class Variant:
    """What is simulated, and what the correction is given."""

    name: str
    thickness: ThicknessModel = ThicknessModel(500.0, spread=0.4, within=0.0)
    noise: NoiseModel = NoiseModel(2000.0, counting=False)
    beams: BeamSelection = field(default_factory=BeamSelection)
    simulated: Callable[[xray.structure], xray.structure] | None = None
    given: Callable[[xray.structure], xray.structure] | None = None
    misset: float = 0.0
    bent: float = 0.0


def charged(structure: xray.structure) -> xray.structure:
    """N and O with -0.3 elementary charges, hydrogen and carbon neutralise them."""
    kinds = [parse_type(s.scattering_type)[0] for s in structure.scatterers()]
    weights = [s.multiplicity() for s in structure.scatterers()]
    n = {k: sum(w for w, x in zip(weights, kinds) if x == k) for k in set(kinds)}
    minus = -0.3 * sum(n.get(k, 0) for k in ("N", "O"))
    plus = -minus / (n.get("C", 0) + n.get("H", 0))
    own = {k: -0.3 if k in ("N", "O") else plus for k in n if k in "NOCH"}
    return apply_charges(structure, own)


def stiffer(structure: xray.structure) -> xray.structure:
    """All U smaller by a third."""
    other = structure.deep_copy_scatterers()
    other.convert_to_isotropic()
    for scatterer in other.scatterers():
        scatterer.u_iso *= 2 / 3
    return other


VARIANTS = (
    Variant("nothing else"),
    Variant("counting, 2,000 electrons", noise=NoiseModel(2000.0)),
    Variant("counting, 200 electrons", noise=NoiseModel(200.0)),
    Variant("thickness ±40 %", ThicknessModel(500.0, spread=0.4, within=0.4)),
    Variant("plates", ThicknessModel(500.0, spread=0.4, within=0.0, slab=True)),
    Variant("twice as thick", ThicknessModel(1000.0, spread=0.4, within=0.0)),
    Variant("absorption 0.1", beams=BeamSelection(absorption=0.1)),
    Variant("mosaic blocks, 0.15°", beams=BeamSelection(mosaicity=0.15)),
    Variant("charges", simulated=charged),
    Variant("U given a third too small", given=stiffer),
    Variant("orientations 0.15° off", misset=0.15),
    Variant(
        "10 % error of each observation",
        noise=NoiseModel(2000.0, counting=False, extra_error=0.1),
    ),
    Variant(
        "beam 10 % from image to image",
        noise=NoiseModel(2000.0, counting=False, image_spread=0.1),
    ),
    Variant("intensities compressed, I^0.85", bent=0.15),
    Variant(
        "several at once",
        ThicknessModel(500.0, spread=0.4, within=0.4),
        NoiseModel(500.0, extra_error=0.1, image_spread=0.05),
        BeamSelection(absorption=0.1, mosaicity=0.15),
        charged,
        misset=0.15,
    ),
)


def compress(table, power: float) -> None:
    """Strong intensities too low and weak ones too high: I^(1 - power)."""
    for name in ("intensity.prf", "intensity.sum"):
        if f"{name}.value" not in table:
            continue
        I = table[f"{name}.value"].as_numpy_array()
        factor = (np.maximum(I, 1e-3 * I.mean()) / I.mean()) ** -power
        for kind, times in (("value", factor), ("variance", factor**2)):
            column = table[f"{name}.{kind}"]
            values = column.as_numpy_array() * times
            for i, x in enumerate(values):
                column[i] = float(x)


def line(compound: int, variant: Variant, nproc: int | None) -> dict:
    """One variant."""
    rng = np.random.default_rng([21, compound])
    true = random_compound(rng, Wishes(kind="organic", volume=(400, 800)))
    sample = variant.simulated(true) if variant.simulated else true
    experiments, table = simulate_experiments(
        sample, np.random.default_rng([22, compound]), n_crystals=3,
        scan_width=[60.0] * 3, d_min=0.9, wave="dynamical", thickness=variant.thickness,
        noise=variant.noise, selection=variant.beams, resources=Resources(nproc),
    )  # fmt: skip
    if variant.bent:
        compress(table, variant.bent)
    tables = [table.select(table["id"] == k) for k in range(3)]
    axes = np.random.default_rng(1).standard_normal((3, 3))
    for one, axis in zip(experiments, axes):
        one.crystal.rotate_around_origin(
            matrix.col(axis).normalize(), variant.misset, deg=True
        )
    subject = get_subject(experiments, tables, force=True, nproc=nproc)
    first = estimate(subject.counted, choose_model(), nproc)
    structure = variant.given(true) if variant.given else true
    found = correct_with_structure(
        StructureInput(
            subject, first, structure, SAME, list(experiments), tables, nproc=nproc
        ),
        hand=False,
    )
    F = true_amplitudes(subject.observations, tables)
    own, to_F = found.step.F, found.to_F
    sets = (amplitudes(subject.prepared.with_damage.merged()), first.F, own / to_F)
    scale = r_factor(own, F)[1]
    z = np.abs(scale * own - F) / (scale * found.step.sigma)
    expected = np.sqrt(2 / np.pi) * found.step.sigma.sum() / own.sum()
    return {
        "compound": compound,
        "added": variant.name,
        "R1": [float(r_factor(x, F)[0]) for x in sets],
        "held out": found.by_observation.as_dict(),
        "steps": found.n_steps,
        "expected": float(expected),
        "within": [float(np.mean(z < 1)), float(np.mean(z < 2))],
        "thickness": [c.shape.thickness for c in found.crystals],
    }


def row(told: dict) -> list:
    """A line of the table."""
    held = told["held out"]
    return [
        told["added"],
        " / ".join(f"{x:.3f}" for x in told["R1"]),
        f"{held['before']:.3f} / {held['after']:.3f}",
        f"{held['z']:.1f}",
        told["steps"],
        f"{told['expected']:.3f}",
        " / ".join(f"{x:.2f}" for x in told["within"]),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--nproc", type=int, default=None)
    parser.add_argument("--compounds", type=int, nargs="*", default=[3, 2])
    parser.add_argument("--json", type=Path, help="file for all figures")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    told: list[dict] = []
    for compound in args.compounds:
        for variant in VARIANTS:
            told.append(line(compound, variant, args.nproc))
            print(compound, *row(told[-1]), sep=" | ", flush=True)
            if args.json:
                args.json.write_text(json.dumps(told))
    print(tabulate(map(row, told), COLUMNS, disable_numparse=True))


if __name__ == "__main__":
    main()
