"""
The parts of the JSON document that are about the spread.

Functions:
    spread_documents: by key
"""

from __future__ import annotations

import numpy as np

from dials_spread.observations import Observations
from dials_spread.significance import Significance
from dials_spread.spread.analysis import SpreadAnalysis
from dials_spread.spread.sources.told import ToldSources


def spread_documents(
    observations: Observations,
    spread: SpreadAnalysis,
    significance: Significance,
    told: ToldSources | None = None,
) -> dict[str, dict]:
    """
    Give the results about the spread as parts of the document.

    Args:
        observations: For the names of images.
        spread: The results.
        significance: Of matched pairs.
        told: What is said of the sources of the spread.

    Returns:
        By key; for a part that was not computed the reason alone.
    """
    parts = {
        "spread": spread.size,
        "variogram": spread.variograms,
        "components": spread.components,
        "normality": spread.normality,
    }
    documents = {
        key: part.as_dict() if part else {"reason": spread.reasons.get(key, "")}
        for key, part in parts.items()
    }
    if told:
        documents["components"].update(rest_is=told.rest, not_told=told.withheld())
    if spread.size:
        own = documents["spread"]
        counting = spread.counting
        own["relative_error_of_scaling"] = (
            counting.relative_term if counting else np.nan
        )
        own["error_model"] = counting.as_dict() if counting else None
        _name_images(own["by_image"], observations)
        dataset = observations.dataset[own["by_crystal"]["number"]]
        own["by_crystal"]["dataset"] = dataset
    documents["likelihood"] = significance.as_dict()
    return documents


def _name_images(columns: dict, observations: Observations) -> None:
    """Say which dataset, crystal and frame each image is, as matches do."""
    number = columns.pop("number")
    images = observations.images
    crystal = images.crystal[number]
    columns.update(
        dataset=observations.dataset[crystal],
        crystal=crystal,
        image=images.first[number],
        image_last=images.last[number],
    )
    for name in ("low", "high", "crystals"):
        columns.pop(name)
    for name, column in columns.items():
        columns[name] = np.asarray(column)
