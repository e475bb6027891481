# LIBTBX_SET_DISPATCHER_NAME dials.ml_correct
"""
Correct electron-diffraction intensities for multiple scattering.

Electrons scatter more than once in a crystal, which moves intensities away from |F|^2:
weak reflections become too strong and strong ones too weak, by an amount that depends
on which other reflections are excited with them. This program estimates kinematic
amplitudes without knowing the structure, multiplies each intensity by a factor, and
writes experiments and reflections that dials.scale, dials.merge and dials.export take
as they take any others. It works before dials.scale, on integrated data, and after it.

A model for unknown compounds comes with the package; model=file is another one, and
method=weights learns nothing: it weighs observations by their coupling to other
reflections. The original intensities stay in the table; undo=True restores them. -c lists
all parameters with what they mean.

A reference (a structure or a list of structure factors) is compared with, before and
after the correction. It does not change what is written.

structure=provisional.ins corrects a second time with a first, incomplete structure, whose
phases say what multiple scattering does to each observation; amplitudes stay the data's.
structure=solve solves that structure first, of integrated or scaled data.

mode=train trains a model on these very data against the reference, and tests it on
held-out crystals, reflections and compounds. mode=validate does the same and writes no
model. Other crystals of a compound have the same |F| and say nothing of scattering.

Examples::

  dials.ml_correct integrated.expt integrated.refl reference=my.cif

  dials.ml_correct integrated.expt integrated.refl reference=my.cif mode=train

  dials.ml_correct scaled.expt scaled.refl structure=provisional.ins

  dials.ml_correct corrected.expt corrected.refl undo=True
"""

from __future__ import annotations

from dataclasses import replace

import iotbx.phil
from dials.util import Sorry
from libtbx import Auto

from dials_spread import cluster, session
from dials_spread.correction import correct_intensities
from dials_spread.correction.apply.correct import get_subject
from dials_spread.correction.apply.estimates import choose_model
from dials_spread.correction.apply.merged_files import check_merged
from dials_spread.correction.apply.parameters import (
    PHIL,
    SOLVE,
    TO_PREPARE,
    check_parameters,
    choose_mode,
    name_outputs,
)
from dials_spread.correction.apply.tables import (
    corrected_table,
    read_uncorrected,
    restored_table,
    uncorrected_part,
)
from dials_spread.correction.validate.compounds import find_sources
from dials_spread.correction.validate.importance import check_shap
from dials_spread.correction.validate.train_on_data import train_on
from dials_spread.observations import right_factors
from dials_spread.observations.crystals import check_crystals
from dials_spread.output_files import check_outputs
from dials_spread.report.ml_correct.correction_outputs import (
    table_files,
    write_correction,
)
from dials_spread.report.ml_correct.training_outputs import write_training
from dials_spread.report.page.document import Provenance
from dials_spread.report.page.report_files import write_all
from dials_spread.valid_input.reading import PHIL as READING

COMMAND = "dials.ml_correct"
phil_scope = iotbx.phil.parse(PHIL + right_factors.PHIL + READING + cluster.PHIL)


def undo_files(data, params, log) -> None:
    """Restore the original intensities; neither JSON nor report are written."""
    write_all(table_files(restored_table(data), params.output), params.output.log, log)


def how_to_prepare(data, params) -> dict:
    """Give the choices of get_subject."""
    given = {name: getattr(params, name) for name in TO_PREPARE}
    return {
        **{name: "auto" if v is Auto else v for name, v in given.items()},
        "without_experiment": sum(data.unmatched.values()),
        "nproc": None if params.nproc is Auto else params.nproc,
        "emptied": data.some_columns and params.structure is None,  # else needed again
    }


def correct_files(data, model, params, provenance, log) -> None:
    """Correct what was read, and write it."""
    check_crystals(data.experiments, data.names)
    part, crystals, told = uncorrected_part(data)
    second = None
    if params.structure:
        from dials_spread.command_line import _with_structure as steps  # loads slowly

        steps.refuse_others(part.experiments)
    how = how_to_prepare(data, params)
    subject = get_subject(part.experiments, part.tables, part.dataset, **how)
    if params.structure:
        subject, second = steps.second_correction(params, part, subject, model)
    subject = replace(subject, warnings=(*told, *data.notes, *subject.warnings))
    result = correct_intensities(
        subject, model,
        ready=second.found.estimate if second else None,
        strength=None if params.strength is Auto else params.strength,
        reference=next(iter(params.reference), None),
        column=params.reference_column,
        block=next(iter(params.cif_block), None),
        seed=params.seed, nproc=how["nproc"],
    )  # fmt: skip
    corrected = corrected_table(data, result, crystals, emptied=True)
    second = second and steps.with_refinement(second, result, params)
    write_correction(result, corrected, provenance, params.output, log, second)


def learn_files(data, params, provenance, log) -> None:
    """Train a model on what was read, test it, and write it with mode=train."""
    if len(params.reference) == 1:
        check_crystals(data.experiments, data.names)
    how = how_to_prepare(data, params)
    sources = find_sources(
        data.experiments, data.tables, data.dataset, params.reference,
        params.reference_column, params.cif_block, **how,
    )  # fmt: skip
    training = train_on(
        sources,
        features=params.features,
        crystals=(params.train.crystals, params.test.crystals),
        keep=params.mode == "train",
        with_shap=params.shap,
        strength=1.0 if params.strength is Auto else params.strength,
        force=params.force,
        seed=params.seed,
        nproc=how["nproc"],
    )
    corrected = None
    if training.model and training.correction:
        corrected = corrected_table(data, training.correction, emptied=True)
    write_training(training, corrected, provenance, params.output, log)


def get_model(params):
    """Find the model of mode=apply."""
    check_parameters(params)
    if params.mode == "apply" or params.undo:
        return choose_model(params.method, params.model)
    if params.shap:
        check_shap()
    return None


@session.command
def run(args: list[str] | None = None, phil: iotbx.phil.scope = phil_scope) -> None:
    """Run dials.ml_correct from the command line."""
    usage = f"{COMMAND} [options] integrated.expt integrated.refl [...]"
    params, files, log = session.start(usage, __doc__, phil, args)
    name_outputs(params)
    for name in ("reference", "cif_block"):
        setattr(params, name, [*filter(None, getattr(params, name))])
    params.mode = choose_mode(params)
    params.output.model = params.output.model if params.mode == "train" else None
    structure = None if params.structure == SOLVE else params.structure
    more = [*filter(None, (params.model, structure)), *params.reference]
    try:
        with cluster.on_workers(params.dask.scheduler, params.dask.local):
            _, _, model, data = session.gather(
                lambda: check_outputs(params.output, [*files, more]),
                lambda: check_merged(params),
                lambda: get_model(params),
                lambda: read_uncorrected(files, params),
            )
            if params.undo:
                undo_files(data, params, log)
                return
            data.refuse_given_twice()
            used = session.parameters(phil, params)
            provenance = Provenance(COMMAND, [*data.files, *more], used, lp=data.lp)
            if params.mode == "apply":
                correct_files(data, model, params, provenance, log)
            else:
                learn_files(data, params, provenance, log)
    except (ValueError, OSError) as error:
        raise Sorry(str(error)) from None


if __name__ == "__main__":
    run()
