"""
From a model that was trained on the data, and its test, to log and files.
"""

from __future__ import annotations

import io
import logging

from dials.array_family import flex
from dxtbx.model import ExperimentList

from dials_spread.correction.apply.merged_files import merged_files
from dials_spread.correction.model.model_file import model_bytes
from dials_spread.correction.validate.train_on_data import TrainingResult
from dials_spread.output_files import Content
from dials_spread.report.ml_correct.before_after import BeforeAfter, compare
from dials_spread.report.ml_correct.correction_outputs import (
    FILES,
    correction_document,
    correction_files,
    table_files,
)
from dials_spread.report.ml_correct.correction_sections import (
    correction_sections,
    log_tables,
)
from dials_spread.report.ml_correct.correction_sentences import (
    correction_sentences,
    sentences_by_topic,
    size_sentence,
)
from dials_spread.report.ml_correct.correction_tables import facts_of, summary_table
from dials_spread.report.ml_correct.correction_verdict import correction_verdict
from dials_spread.report.ml_correct.plots_training import training_plots
from dials_spread.report.ml_correct.training_sentences import (
    training_reasons,
    training_sentences,
    training_steps,
    verdict,
)
from dials_spread.report.ml_correct.training_tables import scores_table, training_tables
from dials_spread.report.page.document import (
    Provenance,
    finite,
    input_document,
    reference_document,
    version_document,
)
from dials_spread.report.page.report_files import (
    PageParts,
    add_reports,
    end_run,
    log_parts,
)
from dials_spread.report.page.sections import Section

logger = logging.getLogger("dials.spread.training_outputs")


def training_document(
    provenance: Provenance, training: TrainingResult, pair: BeforeAfter | None
) -> dict:
    """
    Put the results together as the JSON document.

    Args:
        provenance: Command, files and parameters.
        training: The model and its test.
        pair: The correction as two data sets; None where there is none.
    """
    result = training.correction
    if result is None or pair is None:
        document = _several_document(provenance, training)
    else:
        found = correction_verdict(result)
        document = correction_document(provenance, result, pair, found)
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
            "reference": source.known.source,
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
        "verdict": None,
        "merging_statistics": None,
        "correction": None,
        "r1": None,
        "reference": [
            reference_document(source.known, found)
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
    result = training.correction
    pair = None if result is None else compare(result)
    document = training_document(provenance, training, pair)
    parts = training_parts(training, pair, output)
    tables = training_tables(training)[1:]  # the first is among the figures
    if result is not None and pair is not None:
        tables += log_tables(result, pair)
    log_parts(parts, tables)
    contents: dict[str, Content] = {}
    if corrected is not None and result is not None:
        merged = merged_files(result, output)
        document["correction"]["merged_file"] = merged.figures
        contents = correction_files(table_files(corrected, output), merged)
    if training.model is not None and output.model:
        contents[output.model] = model_bytes(training.model)
    add_reports(contents, document, parts, output)
    end_run(contents, parts, output, log)
    return document


def training_parts(
    training: TrainingResult, pair: BeforeAfter | None, output
) -> PageParts:
    """
    Give what the page and the log are made of.

    Args:
        training: The model and its test.
        pair: The correction as two data sets; None where there is none.
        output: Names of files, as the command's ``output`` scope.
    """
    validation, result = training.validation, training.correction
    told, data, changed = training_sentences(training), [], ""
    warnings = [
        f"{source.known.source}: {text}"
        for source in training.sources
        for text in source.subject.warnings
    ]
    sections = [
        Section(
            "held_out",
            "Test on held-out data",
            "Held-out data",
            list(told),
            training_plots(training),
            training_tables(training),
        )
    ]
    figures, facts = [scores_table(validation)], []
    if result is not None and pair is not None:
        warnings = list(result.warnings)
        figures.append(summary_table(result, pair, correction_verdict(result)))
        facts = facts_of(figures[-1])
        told += correction_sentences(result, pair)
        data, changed = sentences_by_topic(result, pair)["data"], size_sentence(result)
        sections += correction_sections(result, pair)
    return PageParts(
        title="A model of these data, and what it is worth",
        headline=verdict(validation),
        reasons=training_reasons(validation),
        warnings=warnings,
        figures=figures,
        facts=facts,
        summary=told,
        data=data,
        question="Did held-out data improve?",
        changed=changed,
        steps=training_steps(training, output),
        sections=sections,
        files=FILES,
    )
