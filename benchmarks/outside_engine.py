"""
Data sets from Bloch waves of abTEM, with a noise model of their own.

Nothing of them is from dials_spread/simulation but the geometry of the scan: amplitudes are
abTEM's (form factors of Lobato & Van Dyck, isotropic displacements), so are intensities, at
every angle of a rotation, and counts come from `measured_frames`, image by image: a beam
that wanders, a crystal that is bathed by it more or less, damage that grows with the dose, a
background that falls with resolution, a detector that amplifies each electron by chance,
spots under which others lie, and profiles that do not fit.

abTEM is an optional extra: pip install dials_spread[abtem].

Functions:
    outside_sets: data sets with their true amplitudes
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cctbx import xray
from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentList

from dials_spread.scattering.abtem_bridge import (
    import_abtem,
    orientation_matrix,
    structure_factors_for,
)
from dials_spread.scattering.dynamical import rotation_scan_of
from dials_spread.scattering.electrons import energy_of
from dials_spread.simulation.datasets import joined
from dials_spread.simulation.geometry import (
    DEFAULT_WAVELENGTH,
    Laboratory,
    crystal_model,
    random_identifier,
    random_orientation,
    rotation_experiment,
    rotation_scan,
)
from dials_spread.simulation.prediction import predict_crystal
from dials_spread.simulation.random_compounds import Wishes, random_compound
from dials_spread.structures.structure_files import read_structure

RANGES = ((500.0, 700.0), (700.0, 900.0), (900.0, 1100.0))
"""Thickness of the crystals of a set [Å]; each crystal is a wedge within it."""

LAYERS = np.arange(500.0, 1101.0, 50.0)
S_MAX = 0.013  # [1/Å], of beams that take part
WINDOW = 0.005  # [1/Å], of excitation errors that are integrated
BEYOND = 1.1
"""Beams reach to this part of the resolution of the data."""

STEP = 0.045  # [°]: the reciprocal of 1,100 Å at 0.85 Å
FRAME = 0.5  # [°]
WIDEST = 12  # images of a rocking curve
PIXELS = 26  # of a spot on one image

D_MIN = {
    "paracetamol": 0.9, "quartz": 0.75, "abiraterone": 1.05, "glycine": 0.85,
    "natrolite": 1.0, "carbamazepine": 1.0,
}  # fmt: skip
BUILT_IN = ("paracetamol", "quartz", "abiraterone", "glycine")
CRYSTALS = (3, 4, 5, 6)
MANY = ("quartz", "glycine")
"""Compounds of small cells, of which 24 crystals are simulated too."""


@dataclass(frozen=True)
class Noise:
    """
    How the images of a data set are.

    Attributes:
        electrons: Of a reflection of mean intensity.
        background: [electrons per pixel and image] at low resolution.
        wander, bath: Standard deviation of the beam from image to image, and half range
            of the illuminated volume along the scan; relative.
        damage: B that the end of a scan has more than its beginning [Å²].
        misfit: Relative standard deviation of what profiles leave.
        overlaps: Part of the spots with another one under them.
    """

    electrons: float
    background: float
    wander: float
    bath: float
    damage: float
    misfit: float
    overlaps: float


def draw_noise(rng: np.random.Generator) -> Noise:
    """Draw how a data set is measured."""
    return Noise(
        electrons=float(np.exp(rng.uniform(np.log(60), np.log(3000)))),
        background=float(np.exp(rng.uniform(np.log(0.05), np.log(4)))),
        wander=float(rng.uniform(0.01, 0.06)),
        bath=float(rng.uniform(0, 0.3)),
        damage=float(rng.uniform(0, 1.0)),
        misfit=float(rng.uniform(0.02, 0.12)),
        overlaps=float(rng.uniform(0, 0.03)),
    )


def compounds(folder: Path, n_random: int) -> Iterator[tuple[str, object, float]]:
    """Name, structure and resolution limit."""
    for name, d_min in D_MIN.items():
        file = name if name in BUILT_IN else folder / "structures" / f"{name}.cif"
        if name in BUILT_IN or Path(file).exists():
            yield name, read_structure(str(file)), d_min
    for k in range(n_random):
        wishes = Wishes(volume=(200, 600))
        structure = random_compound(np.random.default_rng(880_000 + k), wishes)
        volume = structure.unit_cell().volume()
        yield f"random {k}", structure, max(0.85, float(np.cbrt(volume / 600)))


def crystals_of(structure: xray.structure, d_min: float, n: int, seed: int):
    """Experiments of n crystals, and what each of them records."""
    rng = np.random.default_rng(seed)
    laboratory = Laboratory.with_electrons(DEFAULT_WAVELENGTH, d_min)
    symmetry = structure.crystal_symmetry()
    experiments, tables = ExperimentList(), []
    for k in range(n):
        model = crystal_model(symmetry, random_orientation(rng, symmetry))
        scan = rotation_scan(float(rng.integers(40, 61)), FRAME)
        experiments.append(
            rotation_experiment(
                laboratory, model, scan, 0.05, k, random_identifier(rng)
            )
        )
        table = predict_crystal(experiments[-1], k, d_min)
        half = _half_width(table)
        low, high = np.deg2rad(scan.get_oscillation_range())
        phi = table["xyzcal.mm"].parts()[2].as_numpy_array()
        whole = (phi - half > low) & (phi + half < high)
        tables.append(table.select(flex.bool(whole)))
    return experiments, tables


def _half_width(table: flex.reflection_table) -> np.ndarray:
    """Rotation during which a spot is integrated, to either side [rad]."""
    return np.minimum(WINDOW / _rate(table), np.deg2rad(0.45 * FRAME * WIDEST))


def _rate(table: flex.reflection_table) -> np.ndarray:
    """Change of the excitation error with the rotation [1/Å / rad]."""
    return table["lp"].as_numpy_array() / DEFAULT_WAVELENGTH


def rocking_curves(factors, structure: xray.structure, experiment, table) -> np.ndarray:
    """
    Intensity on each image, of shape (n, LAYERS, WIDEST), from abTEM.

    Integrated over the excitation error, so that |F|² is what they are in proportion to
    in thin crystals. The first image is that on which integration begins.
    """
    dynamical = import_abtem().bloch.dynamical
    from ase.cell import Cell

    scan = rotation_scan_of(experiment)
    energy = energy_of(DEFAULT_WAVELENGTH)
    hkl = table["miller_index"].as_vec3_double().as_numpy_array().astype(int)
    phi = table["xyzcal.mm"].parts()[2].as_numpy_array()
    half, rate = _half_width(table), _rate(table)
    first = np.floor((phi - half - scan.limits[0]) / np.deg2rad(FRAME)).astype(int)
    angles = np.arange(*scan.limits, np.deg2rad(STEP))
    candidates = np.asarray(factors.hkl)
    g = candidates @ scan.A.T
    near = np.linalg.norm(g, axis=1) < BEYOND * np.sqrt(np.max(_d_star_sq(table)))
    candidates, g = candidates[near], g[near]
    place = {tuple(h): i for i, h in enumerate(candidates.tolist())}
    own = np.array([place[tuple(h)] for h in hkl.tolist()])
    found = np.zeros((len(hkl), len(LAYERS), WIDEST))
    position = np.full(len(candidates), -1)
    for angle, k in zip(angles, scan.wave_vectors(angles)):
        K = np.linalg.norm(k)
        s = -(g @ k) / K - np.sum(g**2, axis=1) / (2 * K)
        beams = np.flatnonzero(np.abs(s) < S_MAX)
        turned = orientation_matrix(scan.A, k, structure.unit_cell())
        matrix = dynamical.calculate_structure_matrix(
            structure_factor=factors.array, hkl=factors.hkl,
            hkl_selected=candidates[beams], cell=Cell(np.dot(factors.cell, turned.T)),
            energy=energy, gpts=factors.gpts,
        )  # fmt: skip
        wave = dynamical.calculate_dynamical_scattering(
            structure_matrix=matrix, hkl=candidates[beams],
            cell=Cell(np.dot(factors.cell, turned.T)), energy=energy,
            thicknesses=LAYERS,
        )  # fmt: skip
        intensity = np.abs(wave) ** 2
        position[beams] = np.arange(len(beams))
        rows = np.flatnonzero(np.abs(angle - phi) < half)
        rows = rows[position[own[rows]] >= 0]
        image = int((angle - scan.limits[0]) / np.deg2rad(FRAME)) - first[rows]
        kept = (image >= 0) & (image < WIDEST)
        rows, image = rows[kept], image[kept]
        found[rows, :, image] += (intensity[:, position[own[rows]]] * rate[rows]).T
        position[beams] = -1
    return found


def _d_star_sq(table: flex.reflection_table) -> np.ndarray:
    return 1 / table["d"].as_numpy_array() ** 2


def factors_for(structure: xray.structure, d_min: float):
    """
    abTEM's structure factors, with all differences of the beams.

    Of oblique cells abTEM's grid of indices is too small for its own limit.
    """
    energy = energy_of(DEFAULT_WAVELENGTH)
    wanted = 2 * BEYOND / d_min * np.array(structure.unit_cell().parameters()[:3])
    for wide in (1.15, 1.35, 1.6, 1.9):
        factors = structure_factors_for(structure, energy, wide / d_min, "lobato")
        if np.all(np.array(factors.gpts) // 2 >= np.floor(wanted)):
            return factors
    raise ValueError("abTEM's grid of indices is too small for this cell.")


def simulated(
    structure: xray.structure, d_min: float, n: int, seed: int, path: Path
) -> tuple[ExperimentList, list[flex.reflection_table], list[np.ndarray]]:
    """
    Simulate n crystals, or read what was simulated.

    Returns:
        Experiments, their predicted reflections with `intensity.kinematic.value`, and
        the rocking curves of each.
    """
    experiments, tables = crystals_of(structure, d_min, n, seed)
    factors = factors_for(structure, d_min)
    squared = dict(
        zip(map(tuple, np.asarray(factors.hkl).tolist()), abs(factors.array) ** 2)
    )
    for table in tables:
        F2 = [squared[h] for h in table["miller_index"]]
        table["intensity.kinematic.value"] = flex.double(F2)
    if path.exists():
        with np.load(path) as stored:
            curves = [stored[str(k)] for k in range(n)]
        return experiments, tables, curves
    curves = [
        rocking_curves(factors, structure, *one).astype(np.float32)
        for one in zip(experiments, tables)
    ]
    partial = path.with_suffix(".part.npz")
    np.savez_compressed(partial, **{str(k): c for k, c in enumerate(curves)})
    partial.replace(path)
    return experiments, tables, curves


def measured_frames(
    experiment, table: flex.reflection_table, curves: np.ndarray, noise: Noise,
    rng: np.random.Generator,
) -> flex.reflection_table:  # fmt: skip
    """
    Count electrons image by image, and integrate.

    Args:
        experiment: Of the crystal.
        table: Its reflections.
        curves: Shape (n, WIDEST), electrons of each on each image, of one crystal.
        noise: How the images are.
        rng: Source of all random numbers.
    """
    n_images = experiment.scan.get_num_images()
    phi = table["xyzcal.mm"].parts()[2].as_numpy_array()
    start = experiment.scan.get_oscillation_range(deg=False)[0]
    half = _half_width(table)
    first = np.floor((phi - half - start) / np.deg2rad(FRAME)).astype(int)
    last = np.floor((phi + half - start) / np.deg2rad(FRAME)).astype(int)
    image = first[:, None] + np.arange(curves.shape[1])
    used = image <= last[:, None]
    image = np.clip(image, 0, n_images - 1)
    d_star_sq = _d_star_sq(table)
    # A beam whose departures last for some images, and a volume that comes and goes.
    beam = np.zeros(n_images)
    for k in range(1, n_images):
        beam[k] = 0.8 * beam[k - 1] + 0.6 * noise.wander * rng.standard_normal()
    turn = 2 * np.pi * (np.arange(n_images) / n_images * rng.uniform(0.3, 1.5))
    bath = 1 + noise.bath * np.sin(turn + rng.uniform(0, 2 * np.pi))
    per_image = np.exp(beam) * bath
    dose = np.exp(
        -0.5 * noise.damage * d_star_sq[:, None] * image / n_images
    )  # B/4 of F, B/2 of I
    misfit = rng.gamma(1 / noise.misfit**2, noise.misfit**2, len(phi))
    electrons = curves * per_image[image] * dose * misfit[:, None]
    under = rng.random(len(phi)) < noise.overlaps
    other = rng.permutation(len(phi))
    electrons[under] += rng.uniform(0, 1, (under.sum(), 1)) * electrons[other][under]
    level = noise.background * (0.1 + 0.9 * np.exp(-np.sqrt(d_star_sq) / 0.35))
    level = level[:, None] * per_image[image]
    around = 2.5 * PIXELS

    def detected(expected: np.ndarray) -> np.ndarray:
        # An electron gives off a random part of its energy: a gamma distribution of
        # shape 3 for each.
        counted = rng.poisson(expected)
        return np.where(counted > 0, rng.gamma(3.0 * np.maximum(counted, 1)) / 3.0, 0.0)

    total = detected(electrons + PIXELS * level)
    background = detected(around * level) * PIXELS / around
    value = np.sum((total - background) * used, axis=1)
    variance = np.sum((total + background * PIXELS / around) * used, axis=1)
    for kind in ("sum", "prf"):
        table[f"intensity.{kind}.value"] = flex.double(value)
        table[f"intensity.{kind}.variance"] = flex.double(np.maximum(variance, 1.0))
    mean_background = np.sum(background * used, axis=1) / PIXELS
    table["background.mean"] = flex.double(mean_background)
    return _finished(table, rng)


def _finished(
    table: flex.reflection_table, rng: np.random.Generator
) -> flex.reflection_table:
    """Centroids, flags and what else an integrated table has."""
    flags = flex.reflection_table.flags
    kinds = flags.predicted | flags.observed | flags.indexed
    kinds |= flags.integrated_sum | flags.integrated_prf
    table["flags"] = flex.size_t(len(table), int(kinds))
    table["profile.correlation"] = flex.double(len(table), 0.9)
    table["partiality"] = flex.double(len(table), 1.0)
    for unit in ("px", "mm"):
        table[f"xyzobs.{unit}.value"] = table[f"xyzcal.{unit}"]
        table[f"xyzobs.{unit}.variance"] = flex.vec3_double(len(table), (0.1, 0.1, 0.1))
    return table


def data_set(made, limits: tuple[float, float], d_min: float, rng, noise: Noise):
    """Measure crystals of one range of thickness; experiments and one table each."""
    experiments, predicted, curves = made
    tables = []
    for k, (experiment, table, curve) in enumerate(zip(experiments, predicted, curves)):
        middle = rng.uniform(*limits)
        width = rng.uniform(50, 150)
        part = np.clip(1 - np.abs(LAYERS - middle) / width, 0, None)
        own = np.einsum("nlw,l->nw", curve.astype(float), part / part.sum())
        own *= noise.electrons / own.sum(axis=1).mean() * rng.uniform(0.5, 1.5)
        # What the detector counts is integrated over the rotation.
        own *= np.median(_rate(table)) / _rate(table)[:, None]
        copy = table.copy()
        tables.append(measured_frames(experiment, copy, own, noise, rng))
        for column in ("id", "imageset_id"):
            tables[-1][column] = flex.int(len(copy), k)
    whole = joined(tables, experiments, d_min)
    return experiments, [whole.select(whole["id"] == k) for k in range(len(predicted))]


def outside_sets(
    folder: Path, cache: Path, n_random: int, many: bool = True
) -> Iterator[tuple[str, str, ExperimentList, list[flex.reflection_table]]]:
    """
    Simulate sets of 3 to 6 crystals, and of 24.

    Args:
        folder: Of measured data, with structures.
        cache: Where rocking curves are kept.
        n_random: Random compounds beside the known structures.
        many: Whether 24 crystals are simulated too.

    Yields:
        Family ("abTEM, 3–6 crystals" or "abTEM, 24 crystals"), name, experiments and
        one table a crystal.

    Raises:
        ImportError: abTEM is not installed.
    """
    import_abtem()
    cache.mkdir(parents=True, exist_ok=True)
    for number, (name, structure, d_min) in enumerate(compounds(folder, n_random)):
        n = CRYSTALS[number % len(CRYSTALS)]
        for count in (n, 24) if many and name in MANY else (n,):
            stem = f"{name.replace(' ', '_')}_{count}"
            path = cache / f"{stem}.npz"
            made = simulated(structure, d_min, count, 5000 + number, path)
            for place, limits in enumerate(RANGES):
                rng = np.random.default_rng([number, count, place])
                own = data_set(made, limits, d_min, rng, draw_noise(rng))
                family = "24" if count == 24 else "3–6"
                title = f"{name}, {count} × {limits[0]:.0f}–{limits[1]:.0f} Å"
                yield f"abTEM, {family} crystals", title, *own
