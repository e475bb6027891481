"""
Raw frames of an experiment, and where their pixels lie in reciprocal space.

Experiments are loaded without their images, which often have moved or are gone; here
they are looked for when a picture is wanted.

Functions:
    find_frame_files: the files of some frames
    read_frames: mean counts of some frames, panel by panel
    pixel_at: the pixel that sees a scattering direction
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dials.array_family import flex
from dxtbx.imageset import ImageSetFactory
from dxtbx.model import Experiment, Panel

PARALLAX = 2.0
"""Most that parallax moves a spot [mm]; rays farther off a panel are not looked at."""


class NoFrames(Exception):
    """Raw frames cannot be read; the message says why, in a sentence."""


def _look_beside(path: str, folders: Sequence[str | Path]) -> str:
    """Find a file where it should be, or under the same name in other folders."""
    candidates = [Path(path), *(Path(f) / Path(path).name for f in folders)]
    for candidate in candidates:
        if candidate.is_file():
            return str(candidate)
    raise NoFrames(f"The raw image {Path(path).name} was not found.")


def find_frame_files(
    experiment: Experiment, first: int, last: int, folders: Sequence[str | Path] = ()
) -> tuple[list[str], list[int] | None]:
    """
    Find the files of some frames.

    Args:
        experiment: A scan or a still, with an imageset.
        first: Number of the first frame, as in the scan; not used for stills.
        last: Number of the last frame that belongs to it.
        folders: Where to look besides the stored place: those of the experiment lists.

    Returns:
        A file a frame and None; or, where one file has all frames, that file and the
        places of the wanted frames in it.

    Raises:
        NoFrames: No imageset, or a file is missing.
    """
    imageset = experiment.imageset
    if imageset is None:
        raise NoFrames("The experiment does not say where its raw images are.")
    if not hasattr(imageset, "get_template"):
        paths = [_look_beside(imageset.paths()[0], folders)]
        single = imageset.reader().is_single_file_reader()
        return paths, [int(imageset.indices()[0])] if single else None
    template = imageset.get_template()
    if "#" not in template:
        return [_look_beside(template, folders)], list(range(first - 1, last))
    width = template.count("#")
    head, tail = template.split("#")[0], template.split("#")[-1]
    names = [f"{head}{n:0{width}}{tail}" for n in range(first, last + 1)]
    return [_look_beside(name, folders) for name in names], None


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
        imageset = ImageSetFactory.make_imageset(
            files,
            single_file_indices=places,
            format_kwargs=experiment.imageset.params() or None,
        )
        frames = [_one_frame(imageset, i) for i in range(len(imageset))]
    except NoFrames:
        raise
    except Exception as error:  # dxtbx raises whatever its many formats raise
        told = str(error).strip().splitlines() or [type(error).__name__]
        raise NoFrames(f"The raw images cannot be read ({told[0]}).") from error
    sizes = [p.get_image_size()[::-1] for p in experiment.detector]
    if any([panel.shape for panel in frame] != sizes for frame in frames):
        raise NoFrames("The raw images have other panels than the detector model.")
    return [np.mean(panels, axis=0) for panels in zip(*frames)]


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
