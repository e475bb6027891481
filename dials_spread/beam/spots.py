"""
The pixels that spots cover, frame by frame.

Functions:
    spot_boxes: boxes of all reflections of a table
    boxes_on_frame: those on one frame
    covered: which of some pixels lie in a box
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dials.array_family import flex

HALF_WIDTH = 4
"""Of the square [pixels] about a spot whose table has no bounding boxes."""

HALF_FRAMES = 2
"""Frames before and after the centroid of such a spot."""


@dataclass(frozen=True)
class SpotBoxes:
    """
    Boxes of spots, arrays of length n.

    Attributes:
        panel: Number of the panel.
        edges: Shape (n, 6), int: first and stop along fast, slow and frames (array
            indices), as ``bbox``.
    """

    panel: np.ndarray
    edges: np.ndarray

    def __len__(self) -> int:
        return len(self.panel)


def spot_boxes(table: flex.reflection_table, still: bool = False) -> SpotBoxes:
    """
    Give the boxes of all reflections, predicted and observed, indexed or not.

    Args:
        table: Of one experiment, with bbox, or else with positions [px, px, array
            index].
        still: All reflections are on the one frame.

    Returns:
        The boxes; none where the table has neither boxes nor positions in pixels.
    """
    n = len(table)
    edges = np.empty((0, 6), dtype=int)
    if "bbox" in table:
        edges = np.array(table["bbox"], dtype=int).reshape(n, 6)
    else:
        for name in ("xyzcal.px", "xyzobs.px.value"):
            if name in table:
                centre = np.floor(table[name].as_numpy_array().reshape(n, 3)).astype(
                    int
                )
                half = np.array([HALF_WIDTH, HALF_WIDTH, HALF_FRAMES])
                edges = np.stack([centre - half, centre + half + 1], axis=2)
                edges = edges.reshape(n, 6)
                break
    panel = np.zeros(len(edges), dtype=int)
    if "panel" in table and len(edges):
        panel = table["panel"].as_numpy_array().astype(int)
    if still:
        edges = edges.copy()
        edges[:, 4:] = (0, 1)
    return SpotBoxes(panel=panel, edges=edges)


def join_boxes(boxes: list[SpotBoxes]) -> SpotBoxes:
    """Put the boxes of several tables together."""
    return SpotBoxes(
        panel=np.concatenate([b.panel for b in boxes]),
        edges=np.concatenate([b.edges for b in boxes]),
    )


def boxes_on_frame(boxes: SpotBoxes, frame: int) -> SpotBoxes:
    """Give the boxes that touch a frame, by its array index."""
    on = (boxes.edges[:, 4] <= frame) & (boxes.edges[:, 5] > frame)
    return SpotBoxes(panel=boxes.panel[on], edges=boxes.edges[on])


def covered(
    boxes: SpotBoxes, panel: int, places: np.ndarray, width: int, margin: int
) -> np.ndarray:
    """
    Say which pixels of a panel lie in a box.

    Args:
        boxes: On one frame.
        panel: Number of the panel.
        places: Shape (m,), increasing: places in the panel's flattened image.
        width: Pixels in a row.
        margin: Pixels by which the boxes are widened.

    Returns:
        Shape (m,), bool.
    """
    own = boxes.edges[boxes.panel == panel, :4]
    if not len(own) or not len(places):
        return np.zeros(len(places), dtype=bool)
    # As many rows as there is something in; boxes may reach beyond all edges.
    painted = np.zeros((places[-1] // width + 1, width), dtype=bool)
    low = np.maximum(own - margin, 0)
    for (x0, _, y0, _), (_, x1, _, y1) in zip(low, np.maximum(own + margin, 0)):
        painted[y0:y1, x0:x1] = True
    return painted.ravel()[places]
