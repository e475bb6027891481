"""
The parameters of dials.compare_placement.

Functions:
    check_choices: before anything is run
    passed_on: parameters of another program that were given for it
"""

from __future__ import annotations

import os
from pathlib import Path

import libtbx.phil

PHIL = """
structure = None
  .type = path
  .help = "Structure that the branches are compared with and refined: CIF, SHELX .ins or"
          ".res, PDB, or the name of a built-in structure (abiraterone, glycine,"
          "paracetamol, quartz). Without one the structure is solved here from the data"
          "first."
cif_block = None
  .type = str
  .help = "Name of the data block that is taken from a CIF with several structures."
composition = None
  .type = str
  .help = "Content of one formula unit, such as 'C 8 H 9 N O 2', by which the peaks of a"
          "structure that is solved here become atoms. Not needed with structure=."
model = None
  .type = path
  .help = "Name of a model file that was trained by dials.ml_correct mode=train. It gets a"
          "branch of its own, corrected before scaling. Trained on these very crystals it"
          "has learnt their |F| and says nothing of other data."
folder = compare_placement
  .type = path
  .help = "Name of the folder for the results of the branches, one folder each. What is"
          "there from an earlier run with the same input is used again."
smallest_difference = 0.01
  .type = float(value_min=0, value_max=1)
  .help = "Least difference of R1 that counts in the verdict. Smaller ones decide nothing"
          "about a structure, however certain they are."
resampling {
  draws = 300
    .type = int(value_min=20, value_max=100000)
    .help = "Bootstrap samples of crystals (of parts of scans where there are fewer than"
            "three crystals) behind the intervals of differences."
}
refinement {
  enable = True
    .type = bool
    .help = "Refine the structure against each branch, from moved and from given"
            "coordinates."
  start_shift = 0.1
    .type = float(value_min=0, value_max=0.5)
    .help = "Distance by which atoms are moved before the refinement, in angstrom."
  max_cycles = 60
    .type = int(value_min=5, value_max=1000)
    .help = "Largest number of cycles of least squares."
  weights = None
    .type = floats(size=2, value_min=0, value_max=1000)
    .help = "The two numbers of WGHT, the same for all branches. By default they are"
            "refined for each branch, and one common pair (0.15, 0) is tried besides."
}
solution {
  enable = True
    .type = bool
    .help = "Solve the structure from scratch in each branch by charge flipping."
  starts = 50
    .type = int(value_min=1, value_max=10000)
    .help = "Random starts of charge flipping in each branch."
}
shelx = Auto
  .type = bool
  .help = "Also run SHELXT and SHELXL where they are on PATH. Auto does so where they"
          "are."
seed = 0
  .type = int(value_min=0, value_max=4294967295)
  .help = "Seed of random numbers. The same seed gives the same result."
nproc = Auto
  .type = int(value_min=1, value_max=4096)
  .help = "Number of programs that run side by side. Auto uses all cores."
scale
  .help = "Parameters of dials.scale, the same for all branches."
{
  include scope dials.command_line.scale.phil_scope
}
correct
  .help = "Parameters of dials.ml_correct, likewise."
{
  include scope dials_spread.command_line.ml_correct.phil_scope
}
output {
  ins = best.ins
    .type = path
    .help = "Name of the SHELX instruction file for the best branch, with electron form"
            "factors. None writes no such file."
  hkl = best.hkl
    .type = path
    .help = "Name of the SHELX HKLF 4 file with the merged intensities of the best branch."
            "None writes no such file."
  log = dials.compare_placement.log
    .type = path
    .help = "Name of the log file."
  json = dials.compare_placement.json
    .type = path
    .help = "Name of the JSON file with all numbers."
  html = dials.compare_placement.html
    .type = path
    .help = "Name of the report, for the browser. None writes no report."
}
"""

NOT_PASSED = {
    "scale": ("output",),
    "correct": (
        *("output", "undo", "mode", "reference", "cif_block", "train", "test", "shap"),
    ),
}
"""What the branches set themselves, or have no use for."""


def check_choices(params) -> None:
    """
    Refuse what could only fail after the programs have run.

    Args:
        params: The extracted parameters.

    Raises:
        ValueError: All that is wrong, one line each.
    """
    problems = []
    if params.model and not os.path.isfile(params.model):
        problems.append(f"model={params.model}: no such file")
    if params.composition and params.structure:
        problems.append(
            "composition= is for a structure that is solved; give one of the two"
        )
    folder = Path(params.folder)
    if os.path.exists(folder) and not os.path.isdir(folder):
        problems.append(f"folder={folder} is no folder")
    elif not os.path.isdir(folder.absolute().parent):
        problems.append(f"folder={folder}: no such folder to make it in")
    if problems:
        raise ValueError("\n".join(problems))


def passed_on(phil: libtbx.phil.scope, params, program: str) -> list[str]:
    """
    Give the parameters of another program that were given for it.

    Args:
        phil: The scope.
        params: Extracted from it.
        program: Its sub-scope: "scale" or "correct".

    Returns:
        As arguments of that program, name=value.

    Raises:
        ValueError: One cannot be passed on.
    """
    told, refused = [], []
    for definition in phil.fetch_diff(phil.format(params)).all_definitions():
        scope, _, name = definition.path.partition(".")
        if scope != program:
            continue
        if name.split(".")[0] in NOT_PASSED[program]:
            refused.append(f"{definition.path} cannot be given: the branches set it")
            continue
        told.append(f"{name}={_value(definition.object)}")
    if refused:
        raise ValueError("\n".join(refused))
    return told


def _value(definition: libtbx.phil.definition) -> str:
    """Write a value as it is given on a command line; of choices, those chosen."""
    words = [word.value for word in definition.words]
    kind = None if definition.type is None else definition.type.phil_type
    if kind == "choice":
        return "+".join(word[1:] for word in words if word.startswith("*")) or "None"
    told = " ".join(words)
    # The programs run in folders of their own. (Path.exists raises where a name is long.)
    if kind == "path" and os.path.exists(told):
        return str(Path(told).resolve())
    return told
