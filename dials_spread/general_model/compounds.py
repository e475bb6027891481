"""
Random compounds, simulated once for many virtual experiments.

What costs time is the multiple scattering; counting noise costs nothing. So a compound
is simulated once: a few crystals of it, each at one thickness of every stratum, all from
one pass, without noise. Virtual experiments are drawn from that (see virtual).

Every compound has a seed of its own and goes to two files, an experiment list and a
reflection table, so that an interrupted run is taken up where it stopped and further
compounds can be added to old ones. All that is drawn:

- compound: `random_compound` with a volume from 130 to 2,200 Å³, uniform in its logarithm;
- electrons of 200 or 300 kV (0.7 and 0.3), d_min uniform from 0.75 to 1 Å;
- absorption uniform from 0 to 7 % of the potential;
- one to eight crystals, fewer where the cell is large, each turned by 30 to 75°;
- of "rich" compounds twelve to 24 crystals;
- of "fine" compounds d_min from 0.5 to 0.75 Å, which small cells reach, and a volume from
  90 to 1,000 Å³;
- thickness, independent of chemistry: one from each of three equal strata of the
  logarithm between 110 and 1,700 Å, crystals varying by 30 % about it;
- within a crystal, up to ±90 % of the mean; three in ten compounds are plates.

Families for trials draw other limits (see families). Where there is no multiple scattering
all strata hold the kinematic intensity. Where the beam precesses, intensities are means over
TILTS directions of it: of the two components of its tilt the one along the scan only moves
rocking curves, so that what is averaged over is the other one.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from cctbx import miller, xray
from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentList, ExperimentListFactory

from dials_spread.general_model.families import (
    ANY_VOLUME,
    FAMILIES,
    Family,
    family_of,
)
from dials_spread.scattering.beams import BeamSelection
from dials_spread.scattering.dynamical import (
    ThicknessModel,
    crystal_intensities,
    rotation_scan_of,
)
from dials_spread.scattering.potential import CrystalPotential
from dials_spread.scattering.scans import RotationScan
from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.simulation.crystals import (
    CrystalTask,
    Sample,
    Setup,
    crystal_experiment,
    miller_indices,
    prepare_sample,
)
from dials_spread.simulation.datasets import joined
from dials_spread.simulation.geometry import Laboratory
from dials_spread.simulation.prediction import predict_crystal
from dials_spread.simulation.random_compounds import Wishes, random_compound

logger = logging.getLogger("dials.spread.compounds")

WAVELENGTHS = {0.02508: 0.7, 0.01969: 0.3}  # [Å], 200 and 300 kV
N_STRATA = 3
CELL_OF_EIGHT = 600.0
"""Cells up to this volume [Å³] may have eight crystals, larger ones fewer."""

MOST_INDICES = 5300.0
"""Volume over the cube of d_min, which the indices to be simulated grow with."""

COLUMN = "intensity.dynamical.{}.value"

TILTS = 6
"""Directions of a precessing beam that are averaged over."""


@dataclass(frozen=True)
class Conditions:
    """
    How a compound is measured.

    Attributes:
        wavelength: [Å].
        d_min: Resolution limit [Å].
        absorption: Imaginary over real potential.
        within: Half range of the thickness within a crystal, relative to its mean.
        slab: Whether crystals are plates.
        centres: Typical thickness of each stratum [Å].
        scan_widths: Of each crystal [°].
        semi_angle: By which the beam precesses [°].
        more_b: Added to B of all atoms [Å²].
    """

    wavelength: float
    d_min: float
    absorption: float
    within: float
    slab: bool
    centres: tuple[float, ...]
    scan_widths: tuple[float, ...]
    semi_angle: float = 0.0
    more_b: float = 0.0


def draw_conditions(
    rng: np.random.Generator, volume: float, family: Family = FAMILIES["ordinary"]
) -> Conditions:
    """
    Draw how a compound is measured.

    Args:
        rng: Source of all random numbers.
        volume: Of the cell [Å³].
        family: Of the compound.
    """
    most = max(1.0, 8 * min(1.0, CELL_OF_EIGHT / volume))
    allowed = [n for n in family.crystals if n <= most] or family.crystals
    n_crystals = int(rng.choice(allowed))
    finest = max(family.d_min[0], np.cbrt(volume / MOST_INDICES))
    low, high = np.log(family.thicknesses)
    step = (high - low) / N_STRATA
    centres = np.exp(low + step * (np.arange(N_STRATA) + rng.random(N_STRATA)))
    return Conditions(
        wavelength=float(rng.choice([*WAVELENGTHS], p=[*WAVELENGTHS.values()])),
        d_min=float(rng.uniform(min(finest, family.d_min[1]), family.d_min[1])),
        absorption=float(rng.uniform(0, 0.07)),
        within=float(rng.uniform(0, 0.9)),
        slab=bool(rng.random() < 0.3),
        centres=tuple(float(t) for t in centres),
        scan_widths=tuple(float(w) for w in rng.uniform(30, 75, n_crystals)),
        # Last, and only where it is to be: what other families draw must not change.
        semi_angle=_between(rng, family.semi_angle),
        more_b=_between(rng, family.more_b),
    )


def _between(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    """Draw a number, without drawing where there is but one."""
    return limits[0] if limits[0] == limits[1] else float(rng.uniform(*limits))


def simulate_compound(
    seed: int, volumes: tuple[float, float] = ANY_VOLUME
) -> tuple[ExperimentList, flex.reflection_table, dict]:
    """
    Simulate a random compound.

    Args:
        seed: Of all random numbers.
        volumes: Limits of the volume of the cell [Å³], within those of the family.

    Returns:
        Experiments; predicted reflections with `intensity.kinematic.value` and one
        column COLUMN for each stratum of thickness, all |F|² [Å²]; and the conditions
        as a dictionary, with the mean intensity and the composition.
    """
    family = family_of(seed)
    volumes = _common(volumes, family.volumes)
    structure_seed, rest = np.random.SeedSequence(seed).spawn(2)
    structure = random_compound(
        np.random.default_rng(structure_seed), Wishes(volume=volumes)
    )
    rng = np.random.default_rng(rest)
    conditions = draw_conditions(rng, structure.unit_cell().volume(), family)
    if conditions.more_b:
        structure.shift_us(b_shift=conditions.more_b)
    sample = prepare_sample(
        structure,
        Setup(
            d_min=conditions.d_min,
            wavelength=conditions.wavelength,
            wave="dynamical" if family.wave == "dynamical" else "kinematic",
            selection=BeamSelection(absorption=conditions.absorption),
        ),
    )
    if family.wave == "X-ray":
        sample = _with_x_rays(sample)
    laboratory = Laboratory.with_electrons(conditions.wavelength, conditions.d_min)
    experiments, tables = ExperimentList(), []
    for index, width in enumerate(conditions.scan_widths):
        task = CrystalTask(index, int(rng.integers(2**63)), width, 1.0)
        experiments.append(crystal_experiment(sample, task, laboratory))
        tables.append(
            _simulate_crystal(sample, experiments[-1], conditions, family.wave, rng)
        )
        tables[-1]["id"] = flex.int(len(tables[-1]), index)
        tables[-1]["imageset_id"] = flex.int(len(tables[-1]), index)
    return (
        experiments,
        joined(tables, experiments, conditions.d_min),
        _describe(sample, conditions),
    )


def _common(
    asked: tuple[float, float], own: tuple[float, float]
) -> tuple[float, float]:
    """Limits within both, or those asked for where nothing is."""
    low, high = max(asked[0], own[0]), min(asked[1], own[1])
    return (low, high) if low <= high else asked


def _simulate_crystal(
    sample: Sample,
    experiment,
    conditions: Conditions,
    wave: str,
    rng: np.random.Generator,
) -> flex.reflection_table:
    """Predict one crystal and add the intensities of all strata."""
    centres = np.array(conditions.centres) * np.exp(0.3 * rng.standard_normal())
    table = predict_crystal(experiment, 0, conditions.d_min)
    hkl = miller_indices(table)
    amplitudes = structure_factors if wave != "X-ray" else x_ray_structure_factors
    kinematic = np.abs(amplitudes(sample.structure, hkl)) ** 2
    table["intensity.kinematic.value"] = flex.double(kinematic)
    intensities = np.repeat(kinematic[:, None], N_STRATA, axis=1)
    if sample.potential is not None:
        intensities = _dynamical(
            sample.potential,
            sample.setup.selection,
            experiment,
            table,
            conditions,
            centres,
        )
    for stratum in range(N_STRATA):
        # A rocking curve that is never met is one of no intensity.
        column = np.nan_to_num(intensities[:, stratum])
        table[COLUMN.format(stratum)] = flex.double(np.ascontiguousarray(column))
    return table


def _dynamical(
    potential: CrystalPotential,
    selection: BeamSelection,
    experiment,
    table: flex.reflection_table,
    conditions: Conditions,
    centres: np.ndarray,
) -> np.ndarray:
    """Give intensities at each thickness, shape (rows, strata); nan where never met."""
    model = ThicknessModel(within=conditions.within)
    layers = np.array([model.distribution(t) for t in centres])
    found = [
        crystal_intensities(
            potential,
            scan,
            miller_indices(table),
            table["xyzcal.mm"].parts()[2].as_numpy_array(),
            layers,
            selection,
            conditions.slab,
        )
        for scan in precessed(rotation_scan_of(experiment), conditions.semi_angle)
    ]
    met = np.isfinite(found)
    return np.nansum(found, axis=0) / np.where(met.any(axis=0), met.sum(axis=0), np.nan)


def precessed(scan: RotationScan, semi_angle: float) -> list[RotationScan]:
    """
    Give scans whose mean is that of a precessing beam.

    Args:
        scan: With the beam at rest.
        semi_angle: By which the beam precesses [°].

    Returns:
        TILTS scans with the beam turned towards the rotation axis by the cosines of equally
        spaced azimuths; the scan itself where nothing precesses.
    """
    if not semi_angle:
        return [scan]
    normal = np.cross(scan.axis, scan.s0)
    azimuth = np.pi * (np.arange(TILTS) + 0.5) / TILTS
    tilts = np.deg2rad(semi_angle) * np.cos(azimuth)
    turns = Rotation.from_rotvec(tilts[:, None] * normal / np.linalg.norm(normal))
    return [replace(scan, s0=s0) for s0 in turns.apply(scan.s0)]


def x_ray_structure_factors(structure: xray.structure, hkl: np.ndarray) -> np.ndarray:
    """
    Give structure factors for X-rays.

    Args:
        structure: Of neutral atoms; it stays as it is.
        hkl: Shape (n, 3).

    Returns:
        Complex F [electrons], of shape (n,).
    """
    indices = flex.miller_index([tuple(int(x) for x in h) for h in hkl])
    asked = miller.set(structure.crystal_symmetry(), indices, anomalous_flag=True)
    own = structure.deep_copy_scatterers()
    own.scattering_type_registry(table="it1992")
    found = asked.structure_factors_from_scatterers(own, algorithm="direct")
    return found.f_calc().data().as_numpy_array()


def _with_x_rays(sample: Sample) -> Sample:
    """Give the same with the mean intensity of X-rays, which counts go by."""
    symmetry = sample.structure.crystal_symmetry()
    unique = symmetry.build_miller_set(True, sample.setup.d_min)
    hkl = unique.indices().as_vec3_double().as_numpy_array().astype(int)
    squared = np.abs(x_ray_structure_factors(sample.structure, hkl)) ** 2
    weights = unique.multiplicities().data().as_numpy_array()
    return replace(sample, mean_intensity=float(np.average(squared, weights=weights)))


def _describe(sample: Sample, conditions: Conditions) -> dict:
    structure = sample.structure
    elements = structure.unit_cell_content()
    return {
        **asdict(conditions),
        "mean_intensity": sample.mean_intensity,
        "space_group": str(structure.space_group_info()),
        "volume": structure.unit_cell().volume(),
        "content": {name: round(n, 2) for name, n in elements.items()},
    }


@dataclass(frozen=True)
class Store:
    """
    Where compounds go.

    Attributes:
        folder: An existing one, which every process can reach.
        volumes: Limits of the volume of the cell [Å³].
    """

    folder: str
    volumes: tuple[float, float] = ANY_VOLUME


def store_compound(store: Store, seed: int, threads: int | None = 1) -> bool:
    """
    Simulate a compound into a folder, unless it is there.

    The description is written last: where it is there, the rest is whole.

    Args:
        store: Where to, and of what size.
        seed: Of the compound, and part of its name.
        threads: Not used; a driver that stays in one process passes it.

    Returns:
        Whether it could be simulated; what could not says why in its description.
    """
    stem = Path(store.folder) / f"compound_{seed:06d}"
    description = stem.with_suffix(".json")
    if description.exists():
        return "failed" not in json.loads(description.read_text())
    try:
        experiments, reflections, about = simulate_compound(seed, store.volumes)
        experiments.as_file(f"{stem}.expt")
        reflections.as_file(f"{stem}.refl")
    except ValueError as error:
        about = {"failed": str(error)}
    partial = stem.with_suffix(".part")
    partial.write_text(json.dumps(about, indent=1))
    partial.replace(description)
    return "failed" not in about


def load_compound(
    folder: str, seed: int
) -> tuple[ExperimentList, flex.reflection_table, dict]:
    """Read what `store_compound` wrote; what it returns is as `simulate_compound`."""
    stem = Path(folder) / f"compound_{seed:06d}"
    about = json.loads(stem.with_suffix(".json").read_text())
    experiments = ExperimentListFactory.from_json_file(f"{stem}.expt", False)
    return experiments, flex.reflection_table.from_file(f"{stem}.refl"), about
