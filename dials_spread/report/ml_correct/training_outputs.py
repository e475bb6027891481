"""
From a model that was trained on the data, and its test, to log and files.
"""

from __future__ import annotations

import io
import logging

from dials.array_family import flex
from dxtbx.model import ExperimentList

from dials_spread.correction.model.model_file import model_bytes
from dials_spread.correction.validate.train_on_data import TrainingResult
from dials_spread.report.ml_correct.correction_outputs import (
    correction_document,
    correction_files,
    correction_page,
    correction_plots,
    input_document,
    reference_document,
    version_document,
    write_all,
)
from dials_spread.report.ml_correct.correction_sentences import (
    correction_sentences,
    correction_tables,
)
from dials_spread.report.ml_correct.plots_training import training_plots
from dials_spread.report.ml_correct.training_sentences import (
    training_sentences,
    training_tables,
    verdict,
)
from dials_spread.report.page.document import Provenance, finite, write_json

logger = logging.getLogger("dials.spread.training_outputs")


def training_document(provenance: Provenance, training: TrainingResult) -> dict:
    """
    Put the results together as the JSON document.

    Args:
        provenance: Command, files and parameters.
        training: The model and its test.
    """
    if training.correction is None:
        document = _several_document(provenance, training)
    else:
        document = correction_document(provenance, training.correction)
    model = None
    if training.model is not None:
        model = training.model.card.as_dict()
        model.pop("features")
    validation = {
        **training.validation.as_dict(),
        "r1_by_crystal": [one.as_dict() for one in training.by_crystal],
    }
    features = [one.as_dict() for one in training.importance]
    own = {"validation": validation, "features": features, "model": model}
    return finite({**document, **own})


def _several_document(provenance: Provenance, training: TrainingResult) -> dict:
    """Begin the document of several compounds, of which none is corrected."""
    each = [
        {
            **input_document(source.subject.observations),
            "reference": source.reference.source,
            "intensity": source.subject.observations.choice,
            "warnings": list(source.subject.warnings),
        }
        for source in training.sources
    ]
    together = ("crystals", "images", "observations", "unique")
    return {
        **version_document(provenance),
        "input": {
            "files": list(provenance.files),
            **{key: sum(one[key] for one in each) for key in together},
            "compounds": each,
        },
        "intensity": ", ".join(dict.fromkeys(one["intensity"] for one in each)),
        "parameters": provenance.parameters,
        "correction": None,
        "r1": None,
        "reference": [
            reference_document(source.reference, found)
            for source, found in zip(training.sources, training.matches)
        ],
    }


def write_training(
    training: TrainingResult,
    corrected: tuple[ExperimentList, flex.reflection_table] | None,
    provenance: Provenance,
    output,
    log: io.StringIO,
) -> dict:
    """
    Write the model and the tables where there are any, log, JSON and report.

    Args:
        training: The model and its test.
        corrected: Experiments and reflections; None where none are to be written.
        provenance: Command, files and parameters.
        output: Names of files, as the command's ``output`` scope.
        log: What has been logged.

    Returns:
        The JSON document.
    """
    document = training_document(provenance, training)
    told, tables = training_sentences(training), training_tables(training)
    plots = training_plots(training)
    if training.correction is not None:
        told += correction_sentences(training.correction)
        tables += correction_tables(training.correction)
        plots |= correction_plots(training.correction)
    for table in tables:
        logger.info("\n%s", table.as_text())
    logger.info("\nSummary:\n\n%s\n", "\n\n".join(told))
    contents = {}
    if corrected is not None:
        contents = correction_files(corrected, training.correction, output)
    if training.model is not None and output.model:
        contents[output.model] = model_bytes(training.model)
    if output.json:
        contents[output.json] = write_json(document).encode("utf-8")
    if output.html:
        title = "A model of these data, and what it is worth"
        page = correction_page(document, title, told, tables, plots)
        contents[output.html] = page
    write_all(contents, output.log, log, verdict(training.validation))
    return document
