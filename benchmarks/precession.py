"""
What dials.ml_correct does for precession, and for frames of a rotation, from PETS2 lists.

    python benchmarks/precession.py FOLDER [--compounds 6] [--crystals 3] [--seeds 6] [--unseen]

Bloch waves (and their kinematic limit) of small compounds, on frames at even tilts. A frame is
the mean over the azimuth of a beam that precesses, or over a range of the tilt; each lists its
own part of the intensities, as PETS2 does. Files are written, imported by dials.import_pets and
corrected as dials.ml_correct does. Printed is R1 against the kinematic amplitudes: of the plain
merge with the Lorentz factor of a rotation, with that of precession, and after the correction
with either; and how often the check of R_meas says that the factor of precession is better, of
single crystals, pairs and triples with noise of different seeds. Minutes a compound; crystals
are kept in the folder.
"""

from __future__ import annotations

import argparse
import logging
import pickle
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation
from tabulate import tabulate

from cctbx import xray
from dials.array_family import flex

from dials_spread.correction.apply.correct import correct_intensities, get_subject
from dials_spread.correction.apply.estimates import choose_model
from dials_spread.observations import build_observations
from dials_spread.pets.conversion import ImportChoices, convert
from dials_spread.prepare.crystal_groups import CrystalGroups
from dials_spread.prepare.geometry import add_geometry
from dials_spread.prepare.prepared import (
    check_lorentz,
    check_precession,
    precession_r_meas,
)
from dials_spread.rfactor import amplitudes
from dials_spread.rfactor.r1 import r_factor
from dials_spread.scattering.bloch import (
    bloch_amplitudes,
    excitation_errors,
    kinematic_intensity,
)
from dials_spread.scattering.potential import (
    crystal_potential,
    differences,
    mean_potential,
)
from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.simulation.random_compounds import Wishes, random_compound
from dials_spread.structures.structure_files import read_structure
from dials_spread.valid_input.columns import PRECESSION

WAVELENGTH = 0.0251
S_MAX = 0.012  # [Å⁻¹], of beams that take part
N_PARTS = 40  # azimuths, or tilts, of a frame
LAYERS = np.array([0.7, 0.85, 1.0, 1.15, 1.3])  # of the thickness, within the beam
BEYOND = 1.3  # listed to this excitation error, over the range of the frame
NOISE = 0.03  # own errors of a listing
WAVES = {"dynamical": 5, "kinematic": 6}  # columns of what `frames` gives
COUNTS = 300.0  # electrons of a mean listing


@dataclass(frozen=True)
class Way:
    """How frames are measured: kind, semi-angle and step of the tilt [°], range of it [°]."""

    kind: str
    semi: float
    step: float
    tilts: tuple[float, float] = (-50.0, 50.0)

    @property
    def alpha(self) -> np.ndarray:
        """Tilts of the frames [°]."""
        return np.arange(self.tilts[0], self.tilts[1] + 1e-6, self.step)


WAYS = {
    "precession 1°, steps of 1°": Way("precession", 1.0, 1.0),
    "precession 0.6°, steps of 0.4°": Way("precession", 0.6, 0.4, (-40.0, 40.0)),
    "rotation, virtual frames of 2° every 1°": Way("rotation", 1.0, 1.0),
}

UNSEEN = {
    "precession 1.5°, steps of 1°": Way("precession", 1.5, 1.0, (-40.0, 40.0)),
    "precession 0.4°, steps of 0.4°": Way("precession", 0.4, 0.4, (-30.0, 30.0)),
    "rotation, virtual frames of 1.5° every 0.5°": Way(
        "rotation", 0.75, 0.5, (-35.0, 35.0)
    ),
}
"""Ways that had no part in choosing the limits of the check."""


def turn(axis: str, degrees) -> np.ndarray:
    """A rotation, right-handed."""
    return Rotation.from_euler(axis, degrees, degrees=True).as_matrix()


def wave_vectors(way: Way) -> np.ndarray:
    """Wave vectors of the parts of a frame [Å⁻¹], in the frame of PETS2, shape (m, 3)."""
    K, semi = 1 / WAVELENGTH, np.radians(way.semi)
    if way.kind == "precession":
        turned = 2 * np.pi * (np.arange(N_PARTS) + 0.5) / N_PARTS
        sin = np.sin(semi)
        return K * np.column_stack(
            [
                sin * np.cos(turned),
                sin * np.sin(turned),
                np.full(N_PARTS, -np.cos(semi)),
            ]
        )
    tilt = semi * (2 * (np.arange(N_PARTS) + 0.5) / N_PARTS - 1)
    return K * np.column_stack([0 * tilt, -np.sin(tilt), -np.cos(tilt)])


def frames(structure: xray.structure, d_min: float, thickness: float, way: Way, rng):
    """
    Simulate one crystal.

    Returns:
        UB [Å⁻¹], and of each listing: indices, frame, relative excitation error, intensity
        with multiple scattering, without, and |U|² [Å⁻⁴].
    """
    potential = crystal_potential(structure, WAVELENGTH, d_min, 1.15 / d_min)
    beams, K = potential.beams, 1 / WAVELENGTH
    basis = np.array(structure.unit_cell().fractionalization_matrix()).reshape(3, 3).T
    ub = Rotation.random(random_state=int(rng.integers(2**31))).as_matrix() @ basis
    table, k = potential.table, wave_vectors(way)
    middle = (np.array(table.shape) - 1) // 2
    U2 = np.abs(table[tuple((beams + middle).T)]) ** 2
    mean, layers = mean_potential(table), thickness * LAYERS
    found = []
    for number, alpha in enumerate(way.alpha):
        g = beams @ (turn("x", alpha) @ ub).T
        s = excitation_errors(g, k)
        near = np.flatnonzero(np.abs(s).min(axis=1) <= S_MAX)
        s, own = s[near], beams[near]
        coupling = differences(table, own)
        origin = int(np.flatnonzero(~np.any(own, axis=1))[0])
        total = np.zeros((2, len(near)))
        for part in range(N_PARTS):
            on = np.abs(s[:, part]) <= S_MAX
            psi = bloch_amplitudes(
                coupling[np.ix_(on, on)], s[on, part], K, layers, 0.03, mean,
                origin=int(np.count_nonzero(on[:origin])),
            )  # fmt: skip
            total[0, on] += (np.abs(psi) ** 2).mean(axis=0) / N_PARTS
            kin = kinematic_intensity(s[on, part], layers[:, None], K).mean(axis=0)
            total[1, on] += kin * U2[near][on] / N_PARTS
        g = g[near]
        length = np.linalg.norm(g, axis=1)
        centre = excitation_errors(g, np.array([[0.0, 0.0, -K]]))[:, 0]
        across = length if way.kind == "precession" else np.abs(g[:, 1])
        with np.errstate(divide="ignore", invalid="ignore"):
            q = centre / (across * np.sin(np.radians(way.semi)))
        use = (np.abs(q) <= BEYOND) & (length > 0) & (length <= 1 / d_min)
        if way.kind == "rotation":
            use &= across >= 0.05 * length
        for j in np.flatnonzero(use):
            found.append((*own[j], number, q[j], *total[:, j], U2[near[j]]))
    return ub, np.array(found)


def text(structure: xray.structure, ub, way: Way, lines, name: str, kind: str) -> str:
    """Write a list as PETS2 does: lines are indices, frame, intensity, σ."""
    cell = structure.unit_cell().parameters()
    names = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta")
    head = [f"data_{name}"]
    head += [f"_cell_{a} {x:.5f}" for a, x in zip((*names, "angle_gamma"), cell)]
    head += [f"_diffrn_radiation_wavelength {WAVELENGTH}"]
    head += [
        f"_diffrn_orient_matrix_UB_{i + 1}{j + 1} {ub[i, j]:.8f}"
        for i in range(3)
        for j in range(3)
    ]
    head += [
        "_diffrn_measurement_details",
        ";",
        f"data collection geometry: {kind}",
        ";",
    ]
    head += ["loop_"] + [
        f"_diffrn_zone_axis_{k}"
        for k in (
            "id",
            "u",
            "v",
            "w",
            "precession_angle",
            "alpha",
            "beta",
            "omega",
            "scale",
        )
    ]
    for i, alpha in enumerate(way.alpha):
        uvw = (turn("x", alpha) @ ub).T @ [0, 0, 1]
        uvw = " ".join(f"{x:.6f}" for x in uvw / np.abs(uvw).max())
        head.append(f"{i + 1} {uvw} {way.semi:.3f} {alpha:.4f} 0 0 1")
    head += ["loop_"] + [
        f"_refln_{k}"
        for k in ("index_h", "index_k", "index_l", "intensity_meas", "intensity_sigma",
                  "zone_axis_id")
    ]  # fmt: skip
    for h, k, m, frame, value, sigma in lines:
        head.append(f"{h:.0f} {k:.0f} {m:.0f} {value:.4f} {sigma:.4f} {frame + 1:.0f}")
    return "\n".join(head) + "\n"


def noisy(found: np.ndarray, column: int, rng) -> np.ndarray:
    """Counts: indices, frame, intensity and σ."""
    I = found[:, column] * COUNTS / found[:, column].mean()
    variance = np.maximum(I, 0) + 10.0 + (NOISE * I) ** 2
    I = I + np.sqrt(variance) * rng.standard_normal(len(I))
    return np.column_stack([found[:, :4], I, np.sqrt(np.maximum(I, 0) + 10.0)])


def structures(n: int, unseen: bool = False):
    """Names, structures, resolution limits: built-in ones, then random organic ones."""
    known = [("quartz", 0.7), ("glycine", 0.8)]
    if unseen:
        known = [("paracetamol", 0.9)]
    for name, d_min in known:
        yield name, read_structure(name), d_min
    first = 10 if unseen else 0
    for k in range(first, first + n - len(known)):
        rng = np.random.default_rng(880_000 + k)
        made = random_compound(rng, Wishes(kind="organic", volume=(250, 450)))
        yield f"random {k}", made, float(np.cbrt(made.unit_cell().volume() / 900))


def simulated(folder: Path, name: str, structure, d_min, way_name: str, n: int):
    """Crystals of one compound; from a file where they were made before."""
    way = {**WAYS, **UNSEEN}[way_name]
    path = folder / f"{name} {way_name}.pickle".replace(" ", "_").replace("°", "")
    if path.exists():
        return pickle.loads(path.read_bytes())
    rng = np.random.default_rng(list(map(ord, name + way_name)))
    made = [
        frames(structure, d_min, float(rng.uniform(300, 700)), way, rng)
        for _ in range(n)
    ]
    path.write_bytes(pickle.dumps(made))
    return made


def imported(folder: Path, structure, way: Way, made, column: int, rng):
    """Write lists with noise, and import them: experiments, and one table of each."""
    files = []
    for k, (ub, found) in enumerate(made):
        kind = "precession" if way.kind == "precession" else "continuous rotation"
        path = folder / f"crystal_{k}.cif_pets"
        lines = noisy(found, column, rng)
        path.write_text(text(structure, ub, way, lines, f"c{k}", kind), "utf-8")
        files.append(str(path))
    symbol = str(structure.space_group_info()).replace(" ", "")
    experiments, table = convert(files, ImportChoices(space_group=symbol))
    ids = range(len(experiments))
    return [*experiments], [table.select(table["id"] == k) for k in ids]


def without_angle(tables):
    """The same tables as those of a rotation."""
    found = [t.select(flex.bool(len(t), True)) for t in tables]
    for table in found:
        if PRECESSION in table:
            del table[PRECESSION]
    return found


def corrected(experiments, tables, structure, model) -> dict:
    """Figures of one set, corrected as the command does."""
    subject = get_subject(experiments, tables, nproc=1)
    result = correct_intensities(subject, model, nproc=1)
    full = correct_intensities(subject, model, strength=1.0, nproc=1)
    F = np.abs(structure_factors(structure, subject.observations.unique_index))
    equal = amplitudes(np.maximum(subject.prepared.merged, 0))
    before = min(r_factor(F_o, F)[0] for F_o in (equal, result.F_before))
    return {
        "before": before,
        "weighted": r_factor(result.F_before, F)[0],
        "after": r_factor(result.F, F)[0],
        "full": r_factor(full.estimate.F, F)[0],
        "expected": full.estimate.predicted_r1,
        "strength": result.strength,
        "told": subject.lorentz_precession is not None,
        "exponent": subject.lorentz_exponent,
    }


def mean(rows: list[dict], name: str, over: str | None = None) -> float:
    """Geometric mean of a figure, or of its ratio to another."""
    return float(
        np.exp(np.mean([np.log(r[name] / (r[over] if over else 1)) for r in rows]))
    )


def judge(folder: Path, compounds: list, ways: dict[str, Way], n_crystals: int) -> None:
    """Print R1 before and after, of all ways and waves."""
    model, found = choose_model(), {}
    for name, structure, d_min in compounds:
        for way_name, way in ways.items():
            made = simulated(folder, name, structure, d_min, way_name, n_crystals)
            for wave, column in WAVES.items():
                rng = np.random.default_rng(5)
                data, tables = imported(folder, structure, way, made, column, rng)
                choices = {"rotation": without_angle(tables)}
                if way.kind == "precession":
                    choices["precession"] = tables
                for factor, own in choices.items():
                    row = corrected(data, own, structure, model)
                    found.setdefault((way_name, wave, factor), []).append(row)
    rows = [
        [
            *key, len(some), mean(some, "before"), mean(some, "after"),
            mean(some, "after", "before"), max(r["after"] / r["before"] for r in some),
            mean(some, "after", "weighted"), mean(some, "full", "expected"),
            float(np.mean([r["strength"] for r in some])),
        ]
        for key, some in found.items()
    ]  # fmt: skip
    names = "frames wave factor sets before after ratio largest weighted over strength"
    print(tabulate(rows, names.split(), floatfmt=".3f"))


def warnings_told(
    folder: Path, compounds: list, ways: dict[str, Way], n_crystals: int, seeds: int
) -> None:
    """Print how often the factor of precession is said to be better."""
    rng, rows = np.random.default_rng(11), []
    for way_name, way in ways.items():
        for wave, column in WAVES.items():
            told, others, least, most, n = 0, 0, np.inf, 0.0, 0
            for name, structure, d_min in compounds:
                made = simulated(folder, name, structure, d_min, way_name, n_crystals)
                for seed in range(seeds):
                    size = 1 + seed % n_crystals
                    some = rng.choice(n_crystals, size=size, replace=False)
                    data, tables = imported(
                        folder, structure, way, [made[k] for k in some], column, rng
                    )
                    tables = without_angle(tables)
                    observed = build_observations(data, tables)
                    measured = add_geometry(observed, data, tables)
                    groups = CrystalGroups.of(measured, 1)
                    exponent, found = check_lorentz(measured, None, groups)
                    precession = precession_r_meas(measured, groups)
                    part = precession / found[0.0]
                    is_told = check_precession(measured, found, groups) is not None
                    told, n = told + is_told, n + 1
                    others += bool(exponent) and not is_told
                    least, most = min(least, part), max(most, part)
            rows.append([way_name, wave, n, told, others, least, most])
    names = (
        "frames",
        "wave",
        "sets",
        "precession told",
        "another told",
        "least",
        "most",
    )
    print(tabulate(rows, names, floatfmt=".2f"))


def main() -> None:
    """Simulate what is not there yet, and print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--compounds", type=int, default=6)
    parser.add_argument("--crystals", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument(
        "--unseen", action="store_true", help="other compounds and ways"
    )
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    args.folder.mkdir(parents=True, exist_ok=True)
    compounds = [*structures(args.compounds, args.unseen)]
    ways = UNSEEN if args.unseen else WAYS
    judge(args.folder, compounds, ways, args.crystals)
    warnings_told(args.folder, compounds, ways, args.crystals, args.seeds)


if __name__ == "__main__":
    main()
