"""The parameters of dials.ml_correct."""

from __future__ import annotations

PHIL = """
mode = *auto apply train validate
  .type = choice
  .help = "apply corrects. train and validate need a reference: a model is trained on"
          "these data and tested on crystals, reflections and compounds that it has"
          "not seen; train writes it to output.model, and, of a single compound, tables"
          "that are corrected by models that had not seen the reflection in question."
          "auto is train where a reference is given and neither method nor model is,"
          "else apply."
method = *auto weights model
  .type = choice
  .help = "model uses a trained model; weights a mean of observations, weighted by"
          "their coupling to other reflections, without any learning. auto is model"
          "where one is given or comes with the installation."
model = None
  .type = path
  .help = "Model file. The one that comes with the package by default."
strength = 1.0
  .type = float(value_min=0, value_max=1)
  .help = "How much of the correction is applied: factors are raised to this"
          "power. 0 corrects nothing but a missing Lorentz factor."
lorentz = *auto applied missing
  .type = choice
  .help = "Whether the Lorentz factor is in the intensities. auto goes by the"
          "column lp: missing where there is none, or it is 1 throughout."
force = False
  .type = bool
  .help = "Correct even X-ray data, fewer than 120 unique reflections, or a"
          "multiplicity below 2."
undo = False
  .type = bool
  .help = "Restore the original intensities of corrected files, by default as"
          "uncorrected.expt and uncorrected.refl."
reference = None
  .type = path
  .multiple = True
  .help = "Structure (CIF, .ins, .res, PDB) or structure factors (MTZ, .hkl,"
          ".fcf, CIF) to compare with before and after; or the name of a built-in"
          "structure. mode=train and mode=validate take several, one for each"
          "compound; cells and symmetry tell which data sets are of which."
reference_column = None
  .type = str
  .help = "Label of the column of a list of structure factors."
features = *physical published
  .type = choice
  .help = "What a model is trained on: physical features know neither indices nor"
          "position; the published ones do, and are for comparison."
train {
  crystals = None
    .type = str
    .help = "Crystals to train on in the split by crystal, such as 0:100; folds by"
            "default. Crystals of all files are numbered through, from 0."
}
test {
  crystals = None
    .type = str
    .help = "Crystals to test on in that split, such as 100:200."
}
shap = False
  .type = bool
  .help = "With mode=train or mode=validate, also give SHAP values: how much of the"
          "predictions each feature accounts for. This takes the package shap."
intensity = *auto scale profile sum
  .type = choice
  .help = "Which intensities the correction is found from. auto takes scaled ones"
          "where every table is scaled, else profile-fitted ones, else summed."
min_zeta = 0.05
  .type = float(value_min=0, value_max=1)
  .help = "Observations nearer to the rotation axis are left out, as"
          "filter.min_zeta of dials.integrate does."
partiality_cutoff = 0.4
  .type = float(value_min=0, value_max=1)
  .help = "Lowest partiality of an observation that is used and corrected, as"
          "cut_data.partiality_cutoff of dials.scale."
seed = 0
  .type = int(value_min=0)
  .help = "For the control of the reference, for folds and fits."
nproc = Auto
  .type = int(value_min=1)
  .help = "Number of threads; all cores by default."
output {
  experiments = corrected.expt
    .type = path
  reflections = corrected.refl
    .type = path
    .help = "Corrected reflections; factors are in the column ml_correction."
  merged = None
    .type = path
    .help = "Corrected intensities of unique reflections with their σ, for programs"
            "that solve and refine: SHELX .hkl or .mtz."
  model = trained.model
    .type = path
    .help = "Model file, written by mode=train."
  log = dials.ml_correct.log
    .type = path
  json = dials.ml_correct.json
    .type = path
    .help = "All results, for other programs. None writes none."
  html = dials.ml_correct.html
    .type = path
    .help = "The report; it needs no network. None writes none."
}
"""


def choose_mode(params) -> str:
    """
    Say what is to be done where that was left open.

    Args:
        params: The extracted parameters.

    Returns:
        "apply", "train" or "validate".
    """
    if params.mode != "auto":
        return params.mode
    left_open = params.method == "auto" and params.model is None and not params.undo
    return "train" if params.reference and left_open else "apply"
