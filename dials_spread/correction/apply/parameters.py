"""
The parameters of dials.ml_correct.

Functions:
    choose_mode: what is to be done where that was left open
    name_outputs: what files are called where that was left open
    check_parameters: whether parameters contradict each other
"""

from __future__ import annotations

import os
from pathlib import Path

from libtbx import Auto

from dials_spread.solution.composition import parse_composition

SOLVE = "solve"
"""structure=solve: the structure is solved here."""

TO_PREPARE = ("lorentz", "force", "intensity", "partiality_cutoff", "min_zeta") + (
    *("experiment", "precession_angle", "d_min", "keep_outliers"),
)
"""Parameters that preparing data (get_subject) takes as they are, and Auto as a word."""

PHIL = """
mode = *auto apply train validate
  .type = choice
  .help = "What is done. apply corrects the intensities; with a reference it also"
          "compares them with it, before and after. train fits a model on these data"
          "against the reference, tests it on held-out crystals, reflections and"
          "compounds, and writes it to output.model; with data of a single compound it"
          "also writes tables, in which each reflection is corrected by a model that"
          "did not see it. validate does the same and writes neither model nor tables."
          "auto means apply."
method = *auto weights model
  .type = choice
  .help = "How the intensities are corrected. model uses a trained model. weights"
          "takes a mean of the observations of each reflection, weighted by their"
          "coupling to other reflections, and needs no training. auto means model"
          "where a model is given or comes with the installation, and weights"
          "otherwise."
model = None
  .type = path
  .help = "Name of a model file. By default the model that comes with the package is"
          "used."
strength = Auto
  .type = float(value_min=0, value_max=1)
  .help = "Part of the correction that is applied, from 0 to 1: correction factors"
          "are raised to this power. With 0 nothing is corrected but a missing Lorentz"
          "factor. Auto takes 1 where symmetry equivalents in different orientations"
          "differ as multiple scattering makes them differ, 0 where they do not, and"
          "what is between where they tell neither."
lorentz = *auto applied missing
  .type = choice
  .help = "Whether the intensities contain the Lorentz correction. auto takes it as"
          "missing where the column lp is absent, or is 1 throughout."
experiment = *auto rotation stepwise precession stills
  .type = choice
  .help = "How the data were measured, which says what Lorentz factor is missing and"
          "whether the correction was made for them. rotation is continuous; stepwise"
          "means images at rest at even tilts, or virtual frames of several images:"
          "both have the Lorentz factor of the rotation. With precession, intensities"
          "of single frames have another one, which precession_angle says; where"
          "frames were summed, or integrated as a scan, it is that of stepwise. Stills"
          "are refused, unless force=True. auto takes precession where"
          "dials.import_pets found it or precession_angle is given, stills where no"
          "crystal rotated, and rotation otherwise."
precession_angle = None
  .type = float(value_min=0.01, value_max=10)
  .help = "Semi-angle of the precession in degrees, between the beam and the axis about"
          "which it turns. None takes that of the files of PETS2."
keep_outliers = Auto
  .type = bool
  .help = "Whether observations of scaled data that dials.scale rejected as outliers are"
          "taken in: multiple scattering makes outliers. Auto takes in all but those that"
          "are further from the mean of their equivalents than 4 times that mean and 4"
          "times the mean intensity at their resolution, as spots of ice or overlaps"
          "are, or below a tenth of that mean where it is not weak, as behind the beam"
          "stop. What is taken in and corrected is flagged as an outlier no more, so that"
          "dials.merge counts it; undo=True restores the flags. False takes in nothing,"
          "True all. Where less than half of the correction is applied (strength), nothing"
          "is taken in. Of integrated data nothing was rejected: there Auto and False leave"
          "out what is as far from the median of at least three equivalents, and five or"
          "more times as far as usual in these data (what is too large only where it makes"
          "a tenth of R_meas); True nothing."
force = False
  .type = bool
  .help = "Correct data that should not be corrected: X-ray data, fewer than 120"
          "unique reflections, a multiplicity below 2, or stills."
undo = False
  .type = bool
  .help = "Restore the original intensities of corrected files. They are written to"
          "uncorrected.expt and uncorrected.refl unless output.experiments and"
          "output.reflections are given. Crystals that were never corrected stay as"
          "they are."
reference = None
  .type = path
  .multiple = True
  .help = "Structure (CIF, SHELX .ins or .res, PDB), structure factors (MTZ, SHELX"
          ".hkl or .fcf, CIF), or name of a built-in structure (abiraterone, glycine,"
          "paracetamol, quartz). Intensities are compared with it before and after the"
          "correction. mode=train and mode=validate fit to it; they take several, one"
          "for each compound, and find by cell and symmetry which data sets belong to"
          "which."
structure = None
  .type = path
  .help = "Provisional structure (CIF, SHELX .ins or .res, PDB, or a built-in one), which"
          "may lack atoms. The intensities are corrected a second time: the structure"
          "gives the phases of the potential, the data its amplitudes, and |F| of all"
          "reflections is fitted to all observations. Where held-out observations are not"
          "predicted better, the correction without a structure is kept. The word solve"
          "means that the structure is solved here, from the amplitudes of the first"
          "correction, by charge flipping."
cycles = Auto
  .type = int(value_min=1, value_max=20)
  .help = "Number of corrections with structure=, at most. Between them the structure is refined"
          "against the corrected intensities. They end where observations that took no"
          "part are not predicted better than before, by a standard deviation. Auto means"
          "3, further ones than the first only where refinement changes structure factors by"
          "a tenth. With more than 1 the refined structure is written."
solution {
  starts = 500
    .type = int(value_min=1, value_max=100000)
    .help = "Number of random starts of charge flipping with structure=solve, at most. They end"
            "when one has solved."
}
refinement {
  anisotropic = Auto
    .type = bool
    .help = "Whether atoms other than hydrogen get anisotropic displacements where"
            "structure= is refined. Auto gives them where there are at least 8"
            "reflections for each parameter and all stay positive definite."
  riding_hydrogen = True
    .type = bool
    .help = "Whether hydrogen of structure= follows its parent in refinements. Otherwise"
            "it stays where it is."
  peaks = 20
    .type = int(value_min=1, value_max=500)
    .help = "Number of the highest peaks of the difference map that are listed, and"
            "written as Q atoms."
}
cif_block = None
  .type = str
  .multiple = True
  .help = "Name of the data block that is taken from a reference CIF with several"
          "structures or lists. May be given several times: each of several references"
          "takes the one that it holds."
reference_column = None
  .type = str
  .help = "Label of the column that is taken from a reference file with structure"
          "factors. By default calculated amplitudes are taken where there are any, and"
          "observed ones otherwise."
features = *physical published
  .type = choice
  .help = "Which features a model is trained on. Physical features contain neither"
          "Miller indices nor positions on the detector; the published ones do, and"
          "are there for comparison only."
train {
  crystals = None
    .type = str
    .help = "Crystals that are trained on in the test on held-out crystals, such as"
            "0:100 (crystals 0 to 99). Crystals of all files are numbered through from"
            "0. By default the crystals are divided into folds."
}
test {
  crystals = None
    .type = str
    .help = "Crystals that are held out in that test, such as 100:200 (crystals 100 to"
            "199). To be given together with train.crystals."
}
shap = False
  .type = bool
  .help = "Also compute SHAP values, which say how much each feature contributes to the"
          "predictions. This needs mode=train or mode=validate, and the package shap."
intensity = *auto scale profile sum
  .type = choice
  .help = "Which intensities the correction is found from. auto takes scaled"
          "intensities where every table is scaled, otherwise profile-fitted ones where"
          "every table has them, otherwise summed ones."
d_min = Auto
  .type = float(value_min=0.1, value_max=100)
  .help = "Resolution limit in angstrom. Observations beyond it have no say in the correction,"
          "and are left as they are. Auto finds it where CC½ falls below 0.3, as"
          "dials.estimate_resolution does; None takes all observations."
min_zeta = 0.05
  .type = float(value_min=0, value_max=1)
  .help = "Observations with |zeta| below this value, which lie next to the rotation"
          "axis, are left out, as by filter.min_zeta of dials.integrate. No unit."
partiality_cutoff = 0.4
  .type = float(value_min=0, value_max=1)
  .help = "Lowest partiality, from 0 to 1, of an observation that is used and"
          "corrected, as cut_data.partiality_cutoff of dials.scale."
seed = 0
  .type = int(value_min=0, value_max=4294967295)
  .help = "Seed of the random numbers that folds, fits and the control of the"
          "comparison with a reference use. The same seed gives the same result."
nproc = Auto
  .type = int(value_min=1, value_max=4096)
  .help = "Number of threads. Auto uses all cores."
output {
  experiments = Auto
    .type = path
    .help = "Name of the file for the experiments that belong to the corrected"
            "reflections. Auto means corrected.expt, and uncorrected.expt with undo=True."
  reflections = Auto
    .type = path
    .help = "Name of the file for the corrected reflections. The correction factor of"
            "each is in the column ml_correction. Auto means corrected.refl, and"
            "uncorrected.refl with undo=True."
  merged = None
    .type = path
    .help = "Name of a file for the corrected and merged intensities of unique"
            "reflections with their standard deviations, for structure solution and"
            "refinement: SHELX .hkl or .mtz, by the ending. Beside an .hkl an .ins file"
            "is written where the composition is known. None writes no such file."
  composition = None
    .type = str
    .help = "Content of one formula unit, such as 'C 8 H 9 N O 2', for SFAC and UNIT of"
            "the .ins file beside output.merged=*.hkl. By default that of a structure"
            "given as reference. With structure=solve also which elements the atoms are."
  refined = Auto
    .type = path
    .help = "Name of a SHELX .res or .ins file for the structure= that was refined against"
            "the corrected intensities, with difference peaks above 4 sigma as Q atoms. Auto"
            "means refined.res with structure= unless cycles=1, or with structure=solve"
            "(refined_again.res where refined.res is given), and None otherwise, which"
            "writes no such file."
  refined_hkl = Auto
    .type = path
    .help = "Name of a SHELX .hkl file for the intensities that it was refined against,"
            "in its setting, to go on with SHELXL or Olex2. Auto means that of"
            "output.refined with .hkl, and None writes no such file."
  refined_cif = Auto
    .type = path
    .help = "Name of a CIF for the refined structure with standard uncertainties. Auto"
            "means that of output.refined with .cif, and None writes no such file."
  model = trained.model
    .type = path
    .help = "Name of the model file that mode=train writes."
  log = Auto
    .type = path
    .help = "Name of the log file. Auto means dials.ml_correct.log, and"
            "dials.ml_correct.undo.log with undo=True. None writes no log file."
  json = dials.ml_correct.json
    .type = path
    .help = "Name of the JSON file with all results, for other programs. None writes no"
            "JSON file."
  html = dials.ml_correct.html
    .type = path
    .help = "Name of the report, a page for a browser that needs no network. None"
            "writes no report."
}
"""


def choose_mode(params) -> str:
    """
    Say what is to be done where that was left open.

    A reference alone never trains: a model fitted to the structure in question makes
    intensities agree with it whether it is right or not.

    Args:
        params: The extracted parameters.

    Returns:
        "apply", "train" or "validate".
    """
    return "apply" if params.mode == "auto" else params.mode


def name_outputs(params) -> None:
    """
    Name the files of experiments, reflections, log and refined structure that the user did not.

    Args:
        params: The extracted parameters; names are written into them.
    """
    output = params.output
    stem = "uncorrected" if params.undo else "corrected"
    for name, ending in (("experiments", "expt"), ("reflections", "refl")):
        if getattr(output, name) is Auto:
            setattr(output, name, f"{stem}.{ending}")
    if output.log is Auto:
        kind = ".undo" if params.undo else ""
        output.log = f"dials.ml_correct{kind}.log"
    if output.refined is Auto:
        solved = params.structure == SOLVE
        wanted = solved or (params.structure is not None and params.cycles != 1)
        output.refined = _refined_name(params) if wanted and not params.undo else None
    for name, ending in (("refined_hkl", ".hkl"), ("refined_cif", ".cif")):
        if getattr(output, name) is Auto:
            same = output.refined and str(Path(output.refined).with_suffix(ending))
            setattr(output, name, same or None)


def _refined_name(params) -> str:
    """Name a refined structure; where the one of an earlier run is given, another way."""
    by_itself = params.cycles is Auto and params.structure != SOLVE
    again = by_itself and Path(params.structure).name in ("refined.res", "refined.cif")
    return "refined_again.res" if again else "refined.res"


def check_parameters(params) -> None:
    """
    Refuse parameters that contradict each other.

    Args:
        params: The extracted parameters, with the mode chosen.

    Raises:
        ValueError: One line for each contradiction.
    """
    problems = _structure_problems(params)
    mode, n = params.mode, len(params.reference)
    n_blocks = len(params.cif_block)
    if n_blocks and not n:
        problems.append("cif_block= chooses in a reference; give reference=my.cif too")
    elif n_blocks > n:
        references = "1 reference" if n == 1 else f"{n} references"
        problems.append(f"cif_block= is given {n_blocks} times for {references}")
    if mode == "apply" or params.undo:
        if n > 1:
            problems.append(
                f"{n} references are given, and mode=apply corrects one compound at a "
                "time. Run each compound on its own; mode=train and mode=validate take "
                "several"
            )
        if params.shap:
            problems.append("shap=True needs mode=train or mode=validate")
    else:
        if not n:
            problems.append(
                f"mode={mode} fits to a reference; give reference=my.cif, or leave "
                f"mode={mode} out to correct the data without one"
            )
        if params.model is not None or params.method == "weights":
            problems.append(
                f"mode={mode} trains a model of its own; leave out model= and method="
            )
        if (params.train.crystals is None) != (params.test.crystals is None):
            problems.append("Give both of train.crystals and test.crystals, or neither")
    if problems:
        raise ValueError("\n".join(problems))


REFINED = {
    "refined": (".res", ".ins"),
    "refined_hkl": (".hkl",),
    "refined_cif": (".cif",),
}
"""Endings of the files of a refined structure."""


def _structure_problems(params) -> list[str]:
    """Say what does not go together with a provisional structure."""
    names = {name: getattr(params.output, name) for name in REFINED}
    given = {name: value for name, value in names.items() if isinstance(value, str)}
    if params.structure is None:
        found = [
            f"output.{name}={value} takes a structure to refine; give structure= too"
            for name, value in given.items()
        ]
        if params.cycles is not Auto and params.cycles > 1:
            found.append(
                f"cycles={params.cycles} takes a structure to refine; give structure= too"
            )
        return found
    if params.undo:
        return ["undo=True restores the original intensities; leave out structure="]
    if params.structure == SOLVE and params.output.composition is not None:
        parse_composition(params.output.composition)
    if params.mode != "apply":
        return [f"structure= corrects, and mode={params.mode} does not; leave one out"]
    found = [
        f"output.{name}={value} must end with {' or '.join(REFINED[name])}"
        for name, value in given.items()
        if Path(value).suffix.lower() not in REFINED[name]
    ]
    if params.method == "weights":
        found.append(
            "structure= starts from amplitudes with expected errors, which method=weights "
            "does not give; leave out method="
        )
    return found + _same_instructions(params.output)


def _same_instructions(output) -> list[str]:
    """Beside a merged .hkl an .ins file is written, which may have the same name."""
    if not output.refined or Path(output.merged or "").suffix.lower() != ".hkl":
        return []
    beside = Path(output.merged).with_suffix(".ins")
    if os.path.realpath(beside) != os.path.realpath(output.refined):
        return []
    return [
        f"output.refined={output.refined} is also the name of the file beside "
        f"output.merged={output.merged}"
    ]
