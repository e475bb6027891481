"""
Where the raw images of an experiment are.

Experiments are loaded without their images, which often have moved or are gone; here
they are looked for when they are wanted.

Functions:
    find_frame_files: the files of some frames
    open_frames: an imageset of some files
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dxtbx.imageset import ImageSetFactory
from dxtbx.model import Experiment

from dials_spread.input_files import has_no_images


class NoFrames(Exception):
    """Raw frames cannot be read; the message says why, in a sentence."""


class NeverRecorded(NoFrames):
    """There never were raw frames, of which nobody need be told."""


NEVER_RECORDED = "The data were simulated or converted without raw images."


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
        NeverRecorded: The data were simulated, or converted from a list, without them.
    """
    imageset = experiment.imageset
    if imageset is None:
        raise NoFrames("The experiment does not say where its raw images are.")
    if has_no_images(experiment):
        raise NeverRecorded(NEVER_RECORDED)
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


def open_frames(
    files: Sequence[str], places: Sequence[int] | None, format_kwargs: dict | None
):
    """
    Open raw images.

    Args:
        files: One a frame; or one that has all of them.
        places: Of the frames in that one file; None otherwise.
        format_kwargs: As the experiment's imageset was opened with.

    Returns:
        A dxtbx imageset.

    Raises:
        NoFrames: The format is not known, or the file is damaged.
    """
    try:
        return ImageSetFactory.make_imageset(
            [str(f) for f in files],
            single_file_indices=places,
            format_kwargs=format_kwargs or None,
        )
    except Exception as error:  # dxtbx raises whatever its many formats raise
        raise unreadable(error) from error


def unreadable(error: Exception) -> NoFrames:
    """Turn whatever a format raises into one sentence."""
    told = str(error).strip().splitlines() or [type(error).__name__]
    return NoFrames(f"The raw images cannot be read ({told[0]}).")
