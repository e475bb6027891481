"""
Raw frames of an experiment, and where their pixels lie in reciprocal space.

Functions:
    read_frames: mean counts of some frames, panel by panel
    pixel_at: the pixel that sees a scattering direction
    crystal_names: what files of raw images call the crystals
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dials.array_family import flex
from dxtbx.model import Experiment, Panel

from dials_spread.beam.files import NoFrames, find_frame_files, open_frames, unreadable

__all__ = ["NoFrames", "crystal_names", "pixel_at", "read_frames"]

PARALLAX = 2.0
"""Most that parallax moves a spot [mm]; rays farther off a panel are not looked at."""


LONGEST_NAME = 16
"""Letters of a crystal's name in a plot."""


def read_frames(
    experiment: Experiment, first: int, last: int, folders: Sequence[str | Path] = ()
) -> list[np.ndarray]:
    """
    Read frames and take their mean.

    Args:
        experiment: A scan or a still.
        first: Number of the first frame, as in the scan.
        last: Number of the last frame that belongs to it.
        folders: Where to look besides the stored place.

    Returns:
        Counts per frame for each panel, shape (slow, fast); nan where a pixel is masked
        or beyond the trusted range on any of the frames.

    Raises:
        NoFrames: A frame cannot be read, or its panels are not those of the detector.
    """
    files, places = find_frame_files(experiment, first, last, folders)
    try:
        imageset = open_frames(files, places, experiment.imageset.params())
        frames = [_one_frame(imageset, i) for i in range(len(imageset))]
    except NoFrames:
        raise
    except Exception as error:  # dxtbx raises whatever its many formats raise
        raise unreadable(error) from error
    sizes = [p.get_image_size()[::-1] for p in experiment.detector]
    if any([panel.shape for panel in frame] != sizes for frame in frames):
        raise NoFrames("The raw images have other panels than the detector model.")
    return [np.mean(panels, axis=0) for panels in zip(*frames)]


def crystal_names(experiments: Sequence[Experiment]) -> dict[int, str]:
    """
    Name crystals as their files of raw images do, without what all have in common.

    Args:
        experiments: One a crystal.

    Returns:
        By number, such as ``3 block4``; the number alone where files tell nothing.
    """
    stems = [_stem(experiment.imageset) for experiment in experiments]
    names = {i: str(i) for i in range(len(stems))}
    if len(set(stems)) < max(len(stems), 2):
        # One crystal needs no name to be told apart; equal names tell nothing.
        return names
    words = [re.split(r"[_\-. ]+", stem) for stem in stems]
    common = {w for w in words[0] if all(w in other for other in words)}
    for i, own in enumerate(words):
        short = "_".join(word for word in own if word not in common)
        names[i] = f"{i} {short[-LONGEST_NAME:]}"
    return names


def _stem(imageset) -> str:
    """The name of a crystal's raw images without the number of the frame."""
    if imageset is None:
        return ""
    scans = hasattr(imageset, "get_template")
    path = imageset.get_template() if scans else imageset.paths()[0]
    return Path(path).stem.replace("#", "").strip("_-. ")


def _one_frame(imageset, number: int) -> list[np.ndarray]:
    """Read one frame, panel by panel, with nan for what is not to be trusted."""
    panels = []
    masks = imageset.get_mask(number)
    for data, mask in zip(imageset.get_raw_data(number), masks):
        counts = data.as_numpy_array().astype(float)
        counts[~mask.as_numpy_array()] = np.nan
        panels.append(counts)
    return panels


def pixel_at(panel: Panel, s1: np.ndarray) -> tuple[np.ndarray, ...]:
    """
    Find the pixel that sees each scattering direction.

    Args:
        panel: Of a detector.
        s1: Shape (n, 3) [Å⁻¹], wave vectors in the laboratory, of any length.

    Returns:
        Which directions meet the panel, shape (m,), and the fast and slow number of
        the pixel that sees each of them, shape (m,).
    """
    # The columns of d = D⁻¹ are fast, slow and origin: s1 is along d (x, y, 1).
    x, y, ahead = np.array(panel.get_D_matrix()).reshape(3, 3) @ s1.T
    width, height = panel.get_image_size_mm()
    edge = PARALLAX * ahead
    near = (x > -edge) & (x < (width * ahead + edge))
    near &= (y > -edge) & (y < (height * ahead + edge)) & (ahead > 0)
    near = np.flatnonzero(near)
    # With the correction for parallax, as DIALS predicts spots.
    mm = [flex.double(v[near] / ahead[near]) for v in (x, y)]
    px = panel.millimeter_to_pixel(flex.vec2_double(*mm)).parts()
    fast, slow = (np.floor(c.as_numpy_array()).astype(int) for c in px)
    n_fast, n_slow = panel.get_image_size()
    inside = (fast >= 0) & (fast < n_fast) & (slow >= 0) & (slow < n_slow)
    return near[inside], fast[inside], slow[inside]
