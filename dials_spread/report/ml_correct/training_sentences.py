"""
What a model trained on the data is worth, in words.

Functions:
    verdict: in one line, whether held-out data became better
    training_sentences: the summary below it
    training_steps: which file goes where
"""

from __future__ import annotations

from dials_spread.correction.validate.train_on_data import TrainingResult
from dials_spread.correction.validate.validation import Validation
from dials_spread.report.ml_correct.correction_sentences import coverage_sentence
from dials_spread.report.ml_correct.correction_verdict import (
    NOT_REFINED,
    R1_LABEL,
    correction_verdict,
    next_steps,
)
from dials_spread.report.page.log_text import Step

SPLIT_BY_CRYSTAL = (
    "The split by crystal flatters: other crystals of a compound have the same |F|, so a "
    "model can learn amplitudes instead of scattering. It is of no use for other compounds."
)


def verdict(validation: Validation) -> str:
    """Say in one line whether the model learned anything about scattering."""
    told, wrong = [], []
    for split in ("reflection", "compound"):
        if validation.score(split) is None:
            continue
        told.append(_outcome(validation, split))
        if not validation.improves(split):
            wrong.append(f"held-out {split}s")
    text = "; ".join(told)
    if not wrong:
        return f"IMPROVED: {text}."
    return f"NO CERTAIN IMPROVEMENT of {' and of '.join(wrong)}. {text}."


def _outcome(validation: Validation, split: str) -> str:
    """Give R1 before and after of what was held out."""
    before, after = validation.known(split, "none"), validation.known(split)
    n = f"{after.n:,} reflections"
    if len(after.compounds) > 1:
        n += f" of {len(after.compounds)} compounds (mean R1)"
    untaught = validation.known(split, "amplitudes").r1
    return (
        f"{split.capitalize()}s that the model had not seen ({n}): {R1_LABEL} {before.r1:.4f} before, "
        f"{after.r1:.4f} after, gain {after.gain:.4f} ± {after.gain_su:.4f}; "
        f"{untaught:.4f} without learning, by the mean of amplitudes"
    )


def training_reasons(validation: Validation) -> list[str]:
    """
    Explain the verdict.

    Args:
        validation: Splits and controls.
    """
    told = [
        "An improvement is certain where R1 of held-out data falls by more than two "
        "standard uncertainties, and below what the mean of amplitudes gives, which "
        f"takes no learning. {NOT_REFINED}"
    ]
    if validation.score("crystal") is not None:
        told.append(SPLIT_BY_CRYSTAL)
    return told


def training_sentences(training: TrainingResult) -> list[str]:
    """
    Say how the model was tested.

    Args:
        training: The model and its test.
    """
    validation, told = training.validation, []
    score, before = validation.score("crystal"), validation.score("crystal", "none")
    if score is not None and before is not None:
        how = f"{validation.folds['crystal']} folds"
        if validation.seen.any():
            how = f"{int(validation.seen.sum())} crystals for training"
        told.append(
            f"Held-out crystals ({how}): R1 {before.r1:.4f} before, {score.r1:.4f} after; "
            "the same reflections were in the training set."
        )
    told += [f"Split by {k} not run: {why}." for k, why in validation.reasons.items()]
    for split, found in validation.coverage.items():
        if found is None:
            told.append(f"By {split}, too few errors to predict any.")
        else:
            told.append(coverage_sentence(found, f"Held-out {split}s"))
    return told


def training_steps(training: TrainingResult, output) -> list[Step]:
    """
    Say which file goes where.

    Args:
        training: The model and its test.
        output: Names of files, as the command's ``output`` scope.
    """
    steps, result = [], training.correction
    if training.model is not None and output.model:
        steps.append(
            Step(
                f"{output.model} is the model that was trained. It is worth using on "
                "other data where held-out reflections (and compounds) improved:",
                f"dials.ml_correct other.expt other.refl model={output.model}",
            )
        )
    if result is None:
        steps.append(
            Step(
                f"No corrected tables are written: the data are of "
                f"{len(training.sources)} compounds. Correct each with model=."
            )
        )
        return steps
    if training.model is None:
        steps.append(
            Step(
                "mode=validate writes neither a model nor corrected tables; mode=train "
                "does, and mode=apply corrects with the model that comes with the "
                "package."
            )
        )
        return steps
    return [*steps, *next_steps(result, output, correction_verdict(result))]
