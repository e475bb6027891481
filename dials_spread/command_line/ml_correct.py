# LIBTBX_SET_DISPATCHER_NAME dials.ml_correct
"""
Correct electron-diffraction intensities for multiple scattering.

Electrons scatter more than once in a crystal, which moves intensities away from |F|^2:
weak reflections become too strong and strong ones too weak, by an amount that depends
on which other reflections are excited with them. This program estimates kinematic
amplitudes without knowing the structure, multiplies each intensity by a factor, and
writes experiments and reflections that dials.scale, dials.merge and dials.export take
as they take any others. It works before dials.scale, on integrated data, and after it.

Where a model of boosted trees is at hand (the one that comes with the package, or
model=file), it is used; else, or with method=weights, observations are averaged with
weights from their coupling to other reflections, without any learning. The original
intensities stay in the table, and undo=True restores them.

A reference (a structure or a list of structure factors) is compared with the amplitudes
before and after; it takes no part in the correction.

Examples::

  dials.ml_correct integrated.expt integrated.refl

  dials.ml_correct scaled.expt scaled.refl strength=0.5

  dials.ml_correct integrated.expt integrated.refl reference=structure.cif

  dials.ml_correct integrated.expt integrated.refl lorentz=missing

  dials.ml_correct corrected.expt corrected.refl undo=True
"""

from __future__ import annotations

import iotbx.phil
from dials.util import Sorry, show_mail_handle_errors
from libtbx import Auto

from dials_spread import session
from dials_spread.correction import correct_intensities
from dials_spread.correction.driver import get_subject
from dials_spread.correction.estimates import choose_model
from dials_spread.correction.tables import corrected_table, restored_table
from dials_spread.input_files import read_files
from dials_spread.output_files import check_outputs
from dials_spread.report.correction_outputs import (
    table_files,
    write_all,
    write_correction,
)
from dials_spread.report.document import Provenance

COMMAND = "dials.ml_correct"

phil_scope = iotbx.phil.parse(
    """
    method = *auto weights model
      .type = choice
      .help = "model uses boosted trees; weights a mean of observations, weighted by"
              "their coupling to other reflections, without any learning. auto takes"
              "a model where there is one."
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
      .help = "Structure (CIF, .ins, .res, PDB) or structure factors (MTZ, .hkl,"
              ".fcf, CIF) to compare with before and after; or the name of a built-in"
              "structure."
    reference_column = None
      .type = str
      .help = "Label of the column of a list of structure factors."
    intensity = *auto scale profile sum
      .type = choice
      .help = "Which intensities the correction is found from. auto takes scaled ones"
              "where every table is scaled, else profile-fitted ones, else summed."
    partiality_cutoff = 0.4
      .type = float(value_min=0, value_max=1)
      .help = "Lowest partiality of an observation that is used and corrected, as"
              "cut_data.partiality_cutoff of dials.scale."
    seed = 0
      .type = int(value_min=0)
      .help = "For the control of the reference."
    nproc = Auto
      .type = int(value_min=1)
      .help = "Number of threads; all cores by default."
    output {
      experiments = corrected.expt
        .type = path
      reflections = corrected.refl
        .type = path
        .help = "Corrected reflections; factors are in the column ml_correction."
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
)


def name_restored(output) -> None:
    """Name restored files otherwise, where the user did not: corrected ones are read."""
    for name, ending in (("experiments", "expt"), ("reflections", "refl")):
        if getattr(output, name) == f"corrected.{ending}":
            setattr(output, name, f"uncorrected.{ending}")


def undo_files(data, params, log) -> None:
    """Restore the original intensities; neither JSON nor report are written."""
    contents = table_files(restored_table(data), params.output)
    write_all(contents, params.output.log, log)


def correct_files(data, model, params, provenance, log) -> None:
    """Correct what was read, and write it."""
    nproc = None if params.nproc is Auto else params.nproc
    subject = get_subject(
        data.experiments,
        data.tables,
        data.dataset,
        lorentz=params.lorentz,
        force=params.force,
        without_experiment=sum(data.unmatched.values()),
        nproc=nproc,
        intensity=params.intensity,
        partiality_cutoff=params.partiality_cutoff,
    )
    result = correct_intensities(
        subject,
        model,
        strength=params.strength,
        reference=params.reference,
        column=params.reference_column,
        seed=params.seed,
        nproc=nproc,
    )
    corrected = corrected_table(data, result)
    write_correction(result, corrected, provenance, params.output, log)


@show_mail_handle_errors()
def run(args: list[str] | None = None, phil: iotbx.phil.scope = phil_scope) -> None:
    """Run dials.ml_correct from the command line."""
    usage = "dials.ml_correct [options] integrated.expt integrated.refl [...]"
    params, files, log = session.start(usage, __doc__, phil, args)
    if params.undo:
        name_restored(params.output)
    more = [name for name in (params.model, params.reference) if name]
    try:
        _, model, data = session.gather(
            lambda: check_outputs(params.output, [*files, more]),
            lambda: choose_model(params.method, params.model),
            lambda: read_files(*files),
        )
        if params.undo:
            undo_files(data, params, log)
            return
        provenance = Provenance(
            COMMAND, [*data.files, *more], session.parameters(phil, params)
        )
        correct_files(data, model, params, provenance, log)
    except (ValueError, OSError) as error:
        raise Sorry(str(error)) from None


if __name__ == "__main__":
    run()
