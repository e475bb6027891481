"""
What is said of the Lorentz factor, and of how the data were measured.

Functions:
    lorentz_sentences: sentences for log and page
"""

from __future__ import annotations

from dials_spread.correction import CorrectionResult


def lorentz_sentences(result: CorrectionResult) -> list[str]:
    """
    Say which Lorentz factor was applied, and whether the model knows such data.

    Args:
        result: The correction.
    """
    return [_lorentz(result), *_experiment(result)]


def _lorentz(result: CorrectionResult) -> str:
    how = result.subject.measurement
    if result.measured.of_precession:
        return (
            "The Lorentz factor of single frames with precession, by "
            f"{how.mean_angle:.2f}°, had not been applied to the intensities; it is part "
            "of what they are multiplied by now."
        )
    if result.subject.prepared.measured.lorentz_applied_here:
        return (
            "The Lorentz factor had not been applied to the intensities; it is part of "
            "what they are multiplied by now."
        )
    told = "The Lorentz factor had been applied to the intensities already"
    if how.kind == "precession":
        told += (
            ", and that of single frames with precession was not: what is summed over "
            "frames, or integrated as a scan, has the other"
        )
    return f"{told}."


def _experiment(result: CorrectionResult) -> list[str]:
    """Say what is known of the model where it was not trained on such data."""
    if result.subject.measurement.kind != "precession" or not result.strength > 0:
        return []
    return [
        "The model was trained on rotations without precession; that it also corrects "
        "precession was seen on simulated data alone. strength=0 corrects nothing but "
        "the Lorentz factor."
    ]
