"""
The JSON document of dials.compare_placement.

Functions:
    placement_document: the results
"""

from __future__ import annotations

from collections.abc import Sequence

from dials_spread.placement.results import PlacementComparison
from dials_spread.report.compare_placement.difference_tables import compared_pair
from dials_spread.report.page.document import (
    Provenance,
    base_document,
    finite,
    reference_document,
)


def placement_document(
    provenance: Provenance, result: PlacementComparison, warnings: Sequence[str]
) -> dict:
    """
    Put the results together as the JSON document.

    Args:
        provenance: Command, files and parameters.
        result: The comparison.
        warnings: Sentences.

    Returns:
        The document; "input" describes the observations of the first branch that ended.
    """
    common = result.common
    first = next(iter(common.data.values())).observations
    return finite(
        {
            **base_document(provenance, first),
            "verdict": result.verdict.as_dict(),
            "warnings": list(warnings),
            "branches": {
                name: {
                    **branch.as_dict(),
                    "shelx": branch.shelx and branch.shelx.as_dict(),
                    "files": branch.data and [str(f) for f in branch.data.files],
                }
                for name, branch in result.branches.items()
            },
            "left_out": result.left_out,
            "without_shelx": result.without_shelx or None,
            "common": {
                "unique": len(common.unique_index),
                "in_all": int(common.in_all.sum()),
                "strong": int(common.strong.sum()),
            },
            "structure": {
                **reference_document(result.known.reference, result.known.match),
                "operator": result.known.choice.symbol,
                "solved_from": result.known.solved_from or None,
            },
            "resampled": {"kind": result.groups.kind, "n": result.groups.n},
            "differences": [d.as_dict() for d in result.differences],
            "refined_differences": {
                figure: [d.as_dict() for d in found]
                for figure, found in result.refined_differences.items()
            },
            "most_different": {
                "branches": compared_pair(result),
                "reflections": [one.as_dict() for one in result.most_different],
            },
            "seconds": result.seconds,
        }
    )
