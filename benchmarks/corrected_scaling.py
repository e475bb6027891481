"""
A corrected table through dials.scale and dials.merge with default options.

    python benchmarks/corrected_scaling.py [--model FILE] [--data FOLDER] [--crystals 12]

For simulated paracetamol and the measured sets: how far the merged |F| are from those that
the correction wanted (R, and the median of (ΔF/σ)²), and whether σ's are accepted, before
and after the correction: reduced χ² of scaled observations about their reflection's mean,
a and b of the error model, slope of the normal-probability plot between ±1.5 and the
correlation of all of it. Beside it R1 of merged |F| = √max(I, 0) against the structure,
which takes no part in the correction, before and after.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy.stats import norm

from cctbx import miller
from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentListFactory
from iotbx import mtz

from dials_spread.correction.apply.estimates import SHIPPED
from dials_spread.observations import unique_indices
from dials_spread.rfactor.r1 import r_factor

SETS = {"abiraterone": "abiraterone/integrated", "quartz": "quartz/integrated"}


def run(command: list[str], folder: Path) -> str:
    """Run a program, stop where it fails, give what it says."""
    # The plug-in's programs lie beside this Python, active or not.
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True,
        env={**os.environ, "PATH": beside},
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{' '.join(command)}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def scale(stem: Path, folder: Path) -> str:
    """dials.symmetry where it is needed, then dials.scale; what that says."""
    folder.mkdir()
    return run(["dials.scale", f"{stem}.expt", f"{stem}.refl"], folder)


def residuals(folder: Path) -> np.ndarray:
    """Scaled observations less the mean of their reflection over σ, in normal units."""
    table = flex.reflection_table.from_file(str(folder / "scaled.refl"))
    table = table.select(~table.get_flags(table.flags.bad_for_scaling, all=False))
    table = table.select(table["inverse_scale_factor"] > 0)
    scale_factor = table["inverse_scale_factor"].as_numpy_array()
    I = table["intensity.scale.value"].as_numpy_array() / scale_factor
    variance = table["intensity.scale.variance"].as_numpy_array() / scale_factor**2
    crystal = ExperimentListFactory.from_json_file(
        str(folder / "scaled.expt"), check_format=False
    )[0].crystal
    group = crystal.get_space_group()
    hkl = np.array(list(table["miller_index"]))
    _, unique = unique_indices(hkl, group, friedel=True)
    unique, weight = np.ravel(unique), 1 / variance
    total = np.bincount(unique, weight)
    mean = np.bincount(unique, weight * I) / total
    repeated = np.bincount(unique)[unique] > 1
    # An observation has part in its mean, which makes the difference smaller.
    own = variance - 1 / total[unique]
    return ((I - mean[unique]) / np.sqrt(np.maximum(own, 1e-30)))[repeated]


def accepted(folder: Path, said: str) -> str:
    """What the residuals and the error model say."""
    z = np.sort(residuals(folder))
    expected = norm.ppf((np.arange(len(z)) + 0.5) / len(z))
    middle = np.abs(expected) < 1.5
    slope = np.polyfit(expected[middle], z[middle], 1)[0]
    found = re.findall(r"a\s*=\s*([0-9.]+).*?b\s*=\s*([0-9.]+)", said, re.DOTALL)
    model = f"a {found[-1][0]}, b {found[-1][1]}" if found else "no error model"
    return (
        f"χ² {np.mean(z**2):.2f} (median {np.median(z**2) / 0.455:.2f}), {model}, normal "
        f"plot: slope {slope:.2f}, correlation {np.corrcoef(expected, z)[0, 1]:.3f}"
    )


def merged_beside(folder: Path, corrected: Path, name: str) -> tuple[np.ndarray, ...]:
    """Merged intensities, their σ, and the square of what is stored under a name."""
    run(["dials.merge", "scaled.expt", "scaled.refl", "output.html=None"], folder)
    arrays = mtz.object(str(folder / "merged.mtz")).as_miller_arrays()
    merged = next(a for a in arrays if a.info().labels[0] == "IMEAN")
    wanted = np.load(corrected / "wanted.npz")
    known = np.isfinite(wanted[name])
    columns = [flex.int(np.ascontiguousarray(c)) for c in wanted["hkl"][known].T]
    indices = miller.set(
        merged.crystal_symmetry(), flex.miller_index(*columns), anomalous_flag=False
    )
    F2 = miller.array(indices, flex.double(wanted[name][known] ** 2)).map_to_asu()
    F2, merged = F2.common_sets(merged.map_to_asu())
    return tuple(np.array(x) for x in (merged.data(), merged.sigmas(), F2.data()))


def r1_of_merged(folder: Path, corrected: Path) -> float:
    """R1 against the structure, which is no part of the correction."""
    I, _, truth = merged_beside(folder, corrected, "f_calc")
    return float(r_factor(np.sqrt(np.maximum(I, 0)), np.sqrt(truth))[0])


def compare_merged(folder: Path, corrected: Path) -> str:
    """Merged |F|² against what the correction wanted, which the JSON does not hold."""
    I, sigma, W = merged_beside(folder, corrected, "F")
    k = np.sum(I * W / sigma**2) / np.sum(W * W / sigma**2)
    F_o = np.sqrt(np.maximum(I, 0))
    R = np.abs(F_o - np.sqrt(k * W)).sum() / np.sqrt(k * W).sum()
    chi = np.median(((I - k * W) / sigma) ** 2) / 0.455
    return f"{len(I)} merged |F| against those wanted: R {R:.3f}, (ΔI/σ)² {chi:.2f}"


def write_corrected_by_model(
    stem: Path, model: str, folder: Path, structure: str
) -> None:
    """Run the correction in Python, for the amplitudes; write the files."""
    folder.mkdir()
    code = (
        "import sys, numpy as np\n"
        "from dials.array_family import flex\n"
        "from dxtbx.model.experiment_list import ExperimentListFactory as L\n"
        "from dials_spread.correction.apply.correct import correct_intensities, get_subject\n"
        "from dials_spread.correction.apply.against_reference import find_reference, match\n"
        "from dials_spread.correction.model.model_file import read_model\n"
        "e = L.from_json_file(sys.argv[1] + '.expt', False)\n"
        "t = flex.reflection_table.from_file(sys.argv[1] + '.refl')\n"
        "s = get_subject(e, [t.select(t['id'] == k) for k in range(len(e))], force=True)\n"
        "r = correct_intensities(s, read_model(sys.argv[2]))\n"
        "m = match(find_reference(s.observations, sys.argv[3]), s.prepared,\n"
        "          np.random.default_rng(0))\n"
        "np.savez('wanted.npz', F=r.F, hkl=s.observations.unique_index,\n"
        "         f_calc=m.f_calc)\n"
    )
    run([sys.executable, "-c", code, str(stem), model, structure], folder)
    command = ["dials.ml_correct", f"{stem}.expt", f"{stem}.refl", f"model={model}"]
    run([*command, "force=True", "output.html=None"], folder)


def study(name: str, stem: Path, model: str, folder: Path) -> None:
    """Print what one set gives."""
    own = folder / name
    own.mkdir()
    before = scale(stem, own / "before")
    write_corrected_by_model(stem, model, own / "corrected", name)
    after = scale(own / "corrected" / "corrected", own / "after")
    print(name)
    print("  before:", accepted(own / "before", before))
    print("  after: ", accepted(own / "after", after))
    print("  ", compare_merged(own / "after", own / "corrected"))
    r1 = [r1_of_merged(own / k, own / "corrected") for k in ("before", "after")]
    print(
        "   R1 of merged |F| against the structure: {:.3f}, {:.3f}".format(*r1),
        flush=True,
    )


def main() -> None:
    """Print all sets."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--model", default=str(SHIPPED))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--crystals", type=int, default=12)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        run(
            [
                "dials.simulate_ed", "structure=paracetamol", "scan_width=60", "d_min=0.9",
                f"n_crystals={args.crystals}", "noise.extra_error=0.05",
            ],
            folder,
        )  # fmt: skip
        model = str(Path(args.model).resolve())
        study("paracetamol", folder / "simulated", model, folder)
        for name, place in SETS.items():
            stem = (args.data / place).resolve()
            if stem.with_suffix(".expt").exists():
                study(name, stem, model, folder)


if __name__ == "__main__":
    main()
