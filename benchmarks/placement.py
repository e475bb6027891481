"""
Whether dials.compare_placement says what is true, and what it costs.

    python benchmarks/placement.py --verdicts 20 [--kinematic 20] [--nproc 2] [--work FOLDER]
    python benchmarks/placement.py --full-runs abiraterone [--data FOLDER]
    python benchmarks/placement.py --time abiraterone [--data FOLDER]
    python benchmarks/placement.py --why [--work FOLDER]

--verdicts: simulated paracetamol and two random compounds, thin, normal and thick, with
and without errors of the images' scale, with the real programs and default options. Each
case is simulated twice with crystals of its own. The verdict is that of the first set; it
is right where the second set, which it has not seen, bears it out:
- "correct" with the best branch b: R1 of b is lower than without correction, and no other
  branch is lower than b by more than the least difference that counts;
- "do not correct": R1 without is not higher than that of any branch by more than that;
- "no difference": R1 with and without differ by less than one and a half times that.
--kinematic: likewise with wave=kinematic, where "no difference" is expected, and "do not
correct" where the second set says that the correction does harm.

--full-runs: each crystal in turn is left out, by weights of merged observations and by
running the programs anew without it: R1 of the branches both ways.

--why: simulated paracetamol, thin, normal and thick. Of each branch, how much of the scale
factors of dials.scale within crystals is neither scale nor beam of the simulation, and how
it goes with what scattering did to the strong reflections of the image; error model;
rejected observations, and how far multiple scattering had moved these and the others.

--time: all of the command on measured data, against the programs that it runs.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from dials_spread.placement.branches import AFTER, BEFORE, LORENTZ, NONE, plan
from dials_spread.placement.common_set import (
    common_set,
    read_branch,
    resampling_groups,
)
from dials_spread.placement.differences import (
    differences,
    group_sums_of,
    resampled_r1,
)
from dials_spread.placement.known_structure import check_structure_file, find_structure
from dials_spread.placement.programs import run_steps
from dials_spread.placement.verdict import SMALLEST, judge
from dials_spread.rfactor import amplitudes
from dials_spread.rfactor.scaled_r1 import scaled_r1

DRAWS = 300
THICKNESS = {"thin": 200, "normal": 600, "thick": 1200}
COMPOUNDS = ("paracetamol", "random organic", "random polar")
IMAGE_ERRORS = {"none": 0.0, "images": 0.3}


def environment() -> dict[str, str]:
    """The plug-in's programs lie beside this Python, active or not; one thread each."""
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, "PATH": beside, "OMP_NUM_THREADS": "1"}


def run(command: list[str], folder: Path) -> None:
    """Run a program, stop where it fails."""
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=environment(),
        check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{' '.join(command)}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def simulate(case: dict, seed: int, folder: Path) -> str:
    """Make one data set; the name of its structure."""
    folder.mkdir(parents=True, exist_ok=True)
    structure = case["structure"]
    if structure.startswith("random"):
        # The compound is the same for both sets of a case.
        run(
            ["dials.simulate_ed", "structure=random", f"seed={case['compound_seed']}",
             f"random.space_group={case['space_group']}", "random.kind=organic",
             "random.volume=400,900", "n_crystals=1", "scan_width=20", "d_min=1.2",
             "wave=kinematic", "output.structure=compound.cif"],
            folder,
        )  # fmt: skip
        structure = "compound.cif"
    run(
        ["dials.simulate_ed", f"structure={structure}", "n_crystals=5", "scan_width=60",
         "d_min=1.1", f"seed={seed}", f"wave={case['wave']}", "nproc=1",
         f"thickness.median={case['thickness']}", "noise.mean_counts=300",
         f"noise.image_spread={case['image_error']}", "noise.extra_error=0.05"],
        folder,
    )  # fmt: skip
    return str(folder / structure) if structure.endswith(".cif") else structure


def compare(folder: Path, structure: str, inputs: list[str]) -> dict:
    """All branches of one data set: R1, differences and verdict."""
    os.environ.update(environment())
    # Half of the time is a last round with all parameters at once, which changes little.
    _, steps = plan(scale=["full_matrix=False"])
    steps = [s for s in steps if LORENTZ not in s.branches]  # the factor is there
    results = run_steps(steps, inputs, folder / "placement", 1, lambda r: None)
    last = {NONE: "none/scale", BEFORE: "before/scale", AFTER: "after/correct"}
    failed = {k: results[v].failed for k, v in last.items() if results[v].failed}
    if failed:
        return {"failed": failed}
    data = {name: read_branch(*results[step].files) for name, step in last.items()}
    common, rng = common_set(data), np.random.default_rng(0)
    own = data[NONE].observations
    from cctbx import crystal

    symmetry = crystal.symmetry(unit_cell=own.unit_cell, space_group=own.space_group)
    known = find_structure(check_structure_file(structure, symmetry), common, rng)
    groups = resampling_groups(common, rng)
    drawn = resampled_r1(
        group_sums_of(common, groups), groups.draws(rng, DRAWS), known.f_calc,
        1 / common.d_spacing**2, common.in_all,
    )  # fmt: skip
    r1 = {name: float(v[0]) for name, v in drawn.items()}
    found = differences(drawn, groups.n)
    verdict = judge(r1, found)
    return {"r1": r1, "kind": verdict.kind, "best": verdict.best,
            "headline": verdict.headline, "seconds": sum(r.seconds for r in results.values()),
            "differences": [d.as_dict() for d in found]}  # fmt: skip


def is_right(said: dict, truth: dict) -> bool:
    """Whether a verdict is borne out by a set that it has not seen; see above."""
    r1 = truth["r1"]
    others = [v for k, v in r1.items() if k != NONE]
    if said["kind"] == "correct":
        best = r1[said["best"]]
        return best < r1[NONE] and best <= min(r1.values()) + SMALLEST
    if said["kind"] == "do not correct":
        return r1[NONE] <= min(others) + SMALLEST
    return max(abs(v - r1[NONE]) for v in others) < 1.5 * SMALLEST


def cases(n: int, wave: str) -> list[dict]:
    """Seeded cases, through all compounds, thicknesses and errors in turn."""
    found = []
    kinds = [(c, t, e) for e in IMAGE_ERRORS for t in THICKNESS for c in COMPOUNDS]
    for k in range(n):
        compound, thickness, error = kinds[k % len(kinds)]
        found.append(
            {"number": k, "structure": compound, "compound_seed": 100 + k,
             "space_group": "P212121" if "polar" not in compound else "P21",
             "thickness": THICKNESS[thickness], "image_error": IMAGE_ERRORS[error],
             "wave": wave, "name": f"{wave} {compound}, {thickness}, scale errors: {error}"}
        )  # fmt: skip
    return found


def try_case(case: dict, work: Path) -> dict:
    """Both sets of a case; kept as JSON, so that a broken study goes on."""
    kept = work / f"{case['wave']}_{case['number']}.json"
    if kept.exists():
        return json.loads(kept.read_text())
    sets = []
    for k in range(2):
        folder = work / f"{case['wave']}_{case['number']}_{k}"
        structure = simulate(case, 1000 * case["number"] + k, folder)
        inputs = [str(folder / "simulated.expt"), str(folder / "simulated.refl")]
        sets.append(compare(folder, structure, inputs))
    result = {"case": case, "said": sets[0], "truth": sets[1]}
    kept.write_text(json.dumps(result, indent=1))
    return result


def verdicts(n: int, wave: str, work: Path, nproc: int) -> None:
    """Print what was said of each case, and how often it was right."""
    work.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(nproc) as pool:
        found = list(pool.map(lambda case: _in_process(case, work), cases(n, wave)))
    right = kinds = 0
    for one in found:
        said, truth = one["said"], one["truth"]
        if "failed" in said or "failed" in truth:
            print(
                f"{one['case']['name']:55s} failed: {said.get('failed') or truth.get('failed')}"
            )
            continue
        good = is_right(said, truth)
        right += good
        kinds += said["kind"] == "no difference"
        r1 = "  ".join(
            f"{k} {said['r1'][k]:.3f}/{truth['r1'][k]:.3f}" for k in said["r1"]
        )
        print(f"{one['case']['name']:55s} {r1}  {said['kind']}, {said['best']}: "
              f"{'right' if good else 'WRONG'}", flush=True)  # fmt: skip
    print(f"{wave}: right in {right} of {n}; no difference said in {kinds}")


def _in_process(case: dict, work: Path) -> dict:
    """Each case in a process of its own: cctbx and threads do not go together."""
    code = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); import placement\n"
        "from pathlib import Path\n"
        "import logging; logging.disable(logging.WARNING)\n"
        "placement.try_case(json.loads(sys.argv[2]), Path(sys.argv[3]))\n"
    )
    here = str(Path(__file__).parent)
    run([sys.executable, "-c", code, here, json.dumps(case), str(work.resolve())], work)
    return json.loads((work / f"{case['wave']}_{case['number']}.json").read_text())


def full_runs(name: str, data: Path, work: Path) -> None:
    """Leave out each crystal, by weights and by running everything anew."""
    inputs = [
        str((data / name / f"integrated.{e}").resolve()) for e in ("expt", "refl")
    ]
    whole = _branches(inputs, work / "all")
    common, rng = common_set(whole), np.random.default_rng(0)
    known = _known(name, common, rng)
    groups = resampling_groups(common, rng)
    sums, n = group_sums_of(common, groups), groups.n
    print(f"{name}: {n} {groups.kind}; R1 with one left out, by weights and anew")
    weights = np.ones((n, n)) - np.eye(n)
    d_star_sq = 1 / common.d_spacing**2
    rows = {k: [] for k in whole}
    for k in range(min(n, 5)):
        folder = work / f"without_{k}"
        folder.mkdir(parents=True, exist_ok=True)
        run(["dials.split_experiments", *inputs], folder)
        kept = [
            f"split_{i}.{end}" for i in range(n) if i != k for end in ("expt", "refl")
        ]
        run(
            ["dials.combine_experiments", *kept, "output.experiments_filename=some.expt",
             "output.reflections_filename=some.refl"],
            folder,
        )  # fmt: skip
        anew = _branches(
            [str(folder / "some.expt"), str(folder / "some.refl")], folder / "placement"
        )
        other = common_set(anew)
        listed = {tuple(h): i for i, h in enumerate(common.unique_index.tolist())}
        place = np.array(
            [listed.get(tuple(h), -1) for h in other.unique_index.tolist()]
        )
        f_calc = np.where(place >= 0, known.f_calc[place], np.nan)
        used = other.in_all & np.isfinite(f_calc)
        drawn = {}
        mine = np.zeros(len(common.unique_index), bool)
        mine[place[used]] = True
        for b in whole:
            by_weights = resampled_r1(
                {b: sums[b]}, weights[k : k + 1], known.f_calc, d_star_sq,
                mine & common.in_all & _seen(sums[b], weights[k]),
            )[b][0]  # fmt: skip
            f_o = np.where(used, amplitudes(other.merged[b].intensity), np.nan)
            run_anew = scaled_r1(f_o, f_calc, 1 / other.d_spacing**2).r1
            drawn[b] = (by_weights, run_anew)
            rows[b].append((by_weights, run_anew))
        print("  without", k, "  ".join(f"{b} {v[0]:.4f} {v[1]:.4f}" for b, v in drawn.items()),
              flush=True)  # fmt: skip
    for b in whole:
        if b == NONE:
            continue
        apart = np.array(rows[NONE]) - np.array(rows[b])
        print(f"  gain of {b}: by weights {apart[:, 0].round(4)}, anew {apart[:, 1].round(4)}, "
              f"largest deviation {np.abs(apart[:, 0] - apart[:, 1]).max():.4f}")  # fmt: skip


def _seen(sums, weights) -> np.ndarray:
    return (weights @ sums.weight) > 0


def _branches(inputs: list[str], folder: Path, lorentz: bool = True) -> dict:
    os.environ.update(environment())
    _, steps = plan()
    steps = [s for s in steps if lorentz or LORENTZ not in s.branches]
    results = run_steps(steps, inputs, folder, 2, lambda r: None)
    last = {
        NONE: "none/scale", LORENTZ: "lorentz/scale", BEFORE: "before/scale",
        AFTER: "after/correct",
    }  # fmt: skip
    return {k: read_branch(*results[v].files) for k, v in last.items() if v in results}


def _known(name: str, common, rng):
    from cctbx import crystal

    own = next(iter(common.data.values())).observations
    symmetry = crystal.symmetry(unit_cell=own.unit_cell, space_group=own.space_group)
    return find_structure(check_structure_file(name, symmetry), common, rng)


def why(work: Path) -> None:
    """What dials.scale makes of multiple scattering, with known truth."""
    print("thickness, branch: sd of ln(scale factor) less the true one within crystals; its "
          "correlation with mean ln(dynamical/kinematic) by image; a, b; rejected; median "
          "|ln(dynamical/kinematic)| of rejected, of kept; R1")  # fmt: skip
    for name, thickness in THICKNESS.items():
        case = {
            "structure": "paracetamol", "thickness": thickness, "image_error": 0.0,
            "wave": "dynamical",
        }  # fmt: skip
        folder = work / f"why_{name}"
        structure = simulate(case, 5, folder)
        inputs = [str(folder / f"simulated.{e}") for e in ("expt", "refl")]
        data = _branches(inputs, folder / "placement", lorentz=False)
        common, rng = common_set(data), np.random.default_rng(0)
        known = _known(structure, common, rng)
        for branch, own in data.items():
            f_o = np.where(
                common.in_all, amplitudes(common.merged[branch].intensity), np.nan
            )
            r1 = scaled_r1(f_o, known.f_calc, 1 / common.d_spacing**2).r1
            print(
                f"  {name:8s} {branch:8s} {_against_truth(own)}  R1 {r1:.3f}",
                flush=True,
            )


def _against_truth(own) -> str:
    """Scale factors and rejected observations of one branch against the truth."""
    from dials.array_family import flex

    table = flex.reflection_table.concat([t.copy() for t in own.tables])
    crystal = np.repeat(np.arange(len(own.tables)), [len(t) for t in own.tables])

    def column(name: str) -> np.ndarray:
        return table[name].as_numpy_array()

    kinematic, dynamical = (
        column("intensity.kinematic.value"),
        column("intensity.dynamical.value"),
    )
    scale = column("inverse_scale_factor")
    rejected = table.get_flags(table.flags.outlier_in_scaling).as_numpy_array()
    used = (scale > 0) & table.get_flags(table.flags.scaled).as_numpy_array()
    strong = kinematic > 0.2 * np.median(kinematic[kinematic > 0])
    moved = np.full(len(scale), np.nan)
    both = (kinematic > 0) & (dynamical > 0)
    moved[both] = np.log(dynamical[both] / kinematic[both])
    off = np.full(len(scale), np.nan)
    off[used] = np.log(scale[used]) - np.log(
        column("truth.scale")[used] * column("truth.image_factor")[used]
    )
    image = (
        crystal * 10000 + np.floor(table["xyzcal.px"].as_numpy_array()[:, 2])
    ).astype(int)
    a, b = [], []
    for k in np.unique(image):
        mine = (image == k) & used & strong & both
        if mine.sum() >= 5:
            weight = kinematic[mine]
            a.append((crystal[mine][0], np.average(off[mine], weights=weight)))
            b.append(np.average(moved[mine], weights=weight))
    a, b = np.array(a), np.array(b)
    for c in np.unique(a[:, 0]):
        mine = a[:, 0] == c
        a[mine, 1] -= a[mine, 1].mean()
        b[mine] -= b[mine].mean()
    kept = used & ~rejected & strong & both
    out = rejected & strong & both
    model = own.error_model or (np.nan, np.nan)
    return (
        f"sd {np.std(a[:, 1]):.3f}  correlation {np.corrcoef(a[:, 1], b)[0, 1]:+.2f}  "
        f"a {model[0]:.2f} b {model[1]:.3f}  rejected {rejected.sum()} of {len(scale)}  "
        f"moved {np.median(np.abs(moved[out])):.2f}, {np.median(np.abs(moved[kept])):.2f}"
    )


def timing(name: str, data: Path, work: Path) -> None:
    """The command on measured data, and the programs that it runs, side by side."""
    inputs = [
        str((data / name / f"integrated.{e}").resolve()) for e in ("expt", "refl")
    ]
    work.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    run(["dials.compare_placement", *inputs, f"structure={name}"], work)
    whole = time.monotonic() - start
    told = json.loads((work / "dials.compare_placement.json").read_text())
    print(f"{name}: the command took {whole:.0f} s")
    for part, seconds in told["seconds"].items():
        print(f"  {part}: {seconds:.0f} s")
    programs = told["seconds"]["dials.scale and dials.ml_correct"]
    print(f"  {whole / programs:.2f} × its runs of dials.scale and dials.ml_correct")


def main() -> None:
    """Do what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--verdicts", type=int, default=0)
    parser.add_argument("--kinematic", type=int, default=0)
    parser.add_argument("--full-runs", default="")
    parser.add_argument("--time", default="")
    parser.add_argument("--why", action="store_true")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=None)
    parser.add_argument("--nproc", type=int, default=2)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as scratch:
        work = (args.work or Path(scratch)).resolve()
        if args.verdicts:
            verdicts(args.verdicts, "dynamical", work, args.nproc)
        if args.kinematic:
            verdicts(args.kinematic, "kinematic", work, args.nproc)
        if args.full_runs:
            full_runs(args.full_runs, args.data, work / f"full_{args.full_runs}")
        if args.why:
            why(work)
        if args.time:
            timing(args.time, args.data, work / f"time_{args.time}")


if __name__ == "__main__":
    main()
