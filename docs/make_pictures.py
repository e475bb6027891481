#!/usr/bin/env python3
"""
Make the pictures and the quoted outputs of the documentation anew.

    docs/make_pictures.py [reports] [tutorial] [--work FOLDER] [--step STEP]
    docs/make_pictures.py reliability --figures FOLDER

Run it with the Python of an environment in which the commands of dials_spread work,
after a change of what logs or reports say. It takes about ten minutes, of which nine are
the tutorial; --step correct, for instance, begins the tutorial there, with what is left
in FOLDER (build/pictures by default) from an earlier run.

reports     runs the commands on the measured data (in DIALS_SPREAD_DATA, or in
            ../shared/data beside the checkout): docs/images and docs/output
tutorial    runs docs/tutorial/run.sh, which simulates its data: docs/output/tutorial
            and the pictures of the tutorial
reliability draws expected against true errors of the general model, from the figures that
            benchmarks/general_model.py left in FOLDER; only where it is asked for

Pictures are screenshots by headless Chromium; PNG files are made small with pngquant
where it is installed. No option means the first two parts.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops

DOCS = Path(__file__).resolve().parent
IMAGES, OUTPUT = DOCS / "images", DOCS / "output"

MOST_BYTES = 300_000

WIDTH = 1300

TALL = 9000
"""Of the window: plots are drawn when they come into view."""

ALONE = """
<style>
header {{ position: static !important; }}
body {{ visibility: hidden; }}
</style>
<script>
window.addEventListener("load", () => setTimeout(() => {{
  const one = document.querySelector({selector!r});
  if (!one) {{ document.body.remove(); return; }}
  document.body.style.marginTop = (-one.getBoundingClientRect().top) + "px";
  one.style.visibility = "visible";
}}, 3000));
</script>
"""


def chromium() -> str:
    """The browser, or an exit that says how to get one."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if shutil.which(name):
            return name
    sys.exit("No Chromium: apt-get install chromium, or the like")


def trimmed(image: Image.Image, margin: int = 12) -> Image.Image:
    """Cut off what is white all around."""
    image = image.convert("RGB")
    box = ImageChops.difference(image, Image.new("RGB", image.size, "white")).getbbox()
    if box is None:
        sys.exit("A screenshot is empty")
    left, top, right, bottom = box
    return image.crop(
        (
            max(left - margin, 0),
            max(top - margin, 0),
            min(right + margin, image.width),
            min(bottom + margin, image.height),
        )
    )


def screenshot(page: Path, name: str, height: int, selector: str | None = None) -> None:
    """
    Draw a report.

    Args:
        page: The HTML file.
        name: Of the picture in docs/images.
        height: Of the picture at most, in pixels.
        selector: A CSS selector of what is to be drawn alone; all by default.
    """
    target = IMAGES / name
    with tempfile.TemporaryDirectory() as folder:
        copy, raw = Path(folder) / "page.html", Path(folder) / "raw.png"
        text = page.read_text(encoding="utf-8")
        if selector:
            text += ALONE.format(selector=selector)
        copy.write_text(text, encoding="utf-8")
        subprocess.run(
            [
                *(chromium(), "--headless=new", "--no-sandbox", "--disable-gpu"),
                *(
                    "--hide-scrollbars",
                    f"--window-size={WIDTH},{TALL if selector else height}",
                ),
                *("--virtual-time-budget=20000", f"--screenshot={raw}"),
                copy.as_uri(),
            ],
            check=True,
            capture_output=True,
        )
        image = Image.open(raw).crop((0, 0, WIDTH, height))
        trimmed(image).save(target, optimize=True)
    make_small(target)


def make_small(target: Path) -> None:
    """Make a picture small, and say how large it is."""
    if shutil.which("pngquant"):
        subprocess.run(
            ["pngquant", "--force", "--skip-if-larger", "--output", target, target],
            check=False,
        )
    size = target.stat().st_size
    print(f"{target.relative_to(DOCS)}: {size / 1000:.0f} kB")
    if size > MOST_BYTES:
        sys.exit(f"{target} has more than {MOST_BYTES / 1000:.0f} kB")


def run(folder: Path, command: str, *files: Path) -> None:
    """
    Run a command of dials_spread in a folder, as a user does.

    Args:
        folder: Where; it is made.
        command: As typed.
        files: Linked into the folder before: what the command names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        link = folder / file.name
        link.unlink(missing_ok=True)
        link.symlink_to(file)
    print("$", command, flush=True)
    subprocess.run(command.split(), cwd=folder, check=True, stdout=subprocess.DEVNULL)


def quote(name: str, log: Path, command: str, *parts: tuple[str, str]) -> None:
    """
    Write parts of a log into docs/output.

    Args:
        name: Of the file there.
        log: The log.
        command: As typed.
        parts: Regular expressions of the first line of each, and of the first line after
            it that does not belong to it any more.
    """
    lines = log.read_text(encoding="utf-8").splitlines()
    quoted = [f"$ {command}"]
    for first, after in parts:
        found = [i for i, line in enumerate(lines) if re.search(first, line)]
        if not found:
            sys.exit(f"{log} has no line {first!r} any more: see docs/make_pictures.py")
        start = stop = found[0]
        while stop + 1 < len(lines) and not re.search(after, lines[stop + 1]):
            stop += 1
        part = [broken for line in lines[start : stop + 1] for broken in wrapped(line)]
        quoted += ["...", "\n".join(part).strip("\n")]
    OUTPUT.mkdir(exist_ok=True)
    text = "\n".join([*quoted, "..."])
    (OUTPUT / name).write_text(text + "\n", encoding="utf-8")
    print(f"output/{name}: {text.count(chr(10)) + 1} lines")


def wrapped(line: str) -> list[str]:
    """Break a sentence of a log after 100 letters; commands and tables stay."""
    if line.startswith("  ") or "  " in line.strip():
        return [line.rstrip()]
    return textwrap.wrap(line, 100) or [""]


def data_folder() -> Path:
    """Where measured data are."""
    told = os.environ.get("DIALS_SPREAD_DATA")
    return Path(told) if told else DOCS.parents[1] / "shared" / "data"


def make_reports(work: Path) -> None:
    """The reports on measured data, and what their logs say."""
    data = data_folder()
    integrated, scaled = (
        [data / "quartz" / f"{name}.{ending}" for ending in ("expt", "refl")]
        for name in ("integrated", "scaled")
    )
    cif = data / "structures" / "quartz.cif"

    folder = work / "compare"
    command = "dials.compare_images integrated.expt integrated.refl image_width=0"
    files = [data / "abiraterone" / path.name for path in integrated]
    run(folder, command, *files)
    quote(
        "compare_abiraterone.txt",
        folder / "dials.compare_images.log",
        command,
        (r"^How large is the spread\?", r"^\d+ pairs of images"),
        (r"^Images of the same orientation", r"^Do images of the same"),
        (r"^What (to do )?next", r"^Written"),
    )
    report = folder / "dials.compare_images.html"
    screenshot(report, "compare_images_report.png", 1000)
    screenshot(report, "compare_images_spread.png", 1500, "#spread")
    screenshot(report, "compare_images_pair.png", 1600, "#pair-1")

    folder = work / "correct"
    command = "dials.ml_correct integrated.expt integrated.refl"
    run(folder, command, *integrated)
    quote(
        "correct_quartz.txt",
        folder / "dials.ml_correct.log",
        command,
        (r"^Summary", r"^Method:"),
        (r"^What to do next", r"^Never"),
    )
    screenshot(folder / "dials.ml_correct.html", "ml_correct_report.png", 1500)

    folder = work / "correct_reference"
    command += " reference=quartz.cif"
    run(folder, command, *integrated, cif)
    quote(
        "correct_quartz_reference.txt",
        folder / "dials.ml_correct.log",
        command,
        (r"^Summary", r"^Data:"),
    )

    make_placement_report(work, integrated, cif)

    folder = work / "simulate"
    command = "dials.simulate_ed scaled.expt scaled.refl structure=quartz.cif"
    run(folder, command, *scaled, cif)
    screenshot(folder / "dials.simulate_ed.html", "simulate_ed_report.png", 1500)


def make_placement_report(work: Path, integrated: list[Path], cif: Path) -> None:
    """The report on the placements of quartz, and what its log says."""
    folder = work / "placement"
    command = (
        "dials.compare_placement integrated.expt integrated.refl structure=quartz.cif"
    )
    run(folder, command, *integrated, cif)
    quote(
        "placement_quartz.txt",
        folder / "dials.compare_placement.log",
        command,
        (r"^Summary", r"^Merging statistics"),
        (r"^R1 against kinematic Fc$", r"^Branches reject"),
        (r"^Refinement from coordinates moved", r"^isotropic U at"),
        (r"^Solution from scratch", r"^What dials.scale made"),
        (r"^What to do next", r"^Never"),
    )
    report = folder / "dials.compare_placement.html"
    screenshot(report, "compare_placement_report.png", 1500)


def make_reliability(figures: Path) -> None:
    """Expected against true errors of measured compounds, and of simulated families."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    sets: dict[str, list[dict]] = {}
    for path in sorted(figures.glob("figures_*.json")):
        for one in json.loads(path.read_text(encoding="utf-8"))["sets"]:
            if "shells" in one:
                sets.setdefault(one["family"], []).append(one)
    measured = sets.pop("measured", [])
    if not measured or not sets:
        sys.exit(f"{figures} has no figures: run benchmarks/general_model.py")
    figure, axes = pyplot.subplots(1, 2, figsize=(13, 6.2), sharex=True, sharey=True)
    for one in measured:
        x, y, _ = zip(*one["shells"])
        axes[0].plot(x, y, "o-", label=one["name"])
    for family, own in sets.items():
        shells = np.array([one["shells"] for one in own])[..., :2]
        x, y = np.exp(np.mean(np.log(shells), axis=0)).T
        low, high = np.quantile(shells[..., 1] / shells[..., 0], [0.25, 0.75], axis=0)
        line = axes[1].errorbar(
            x, y, [np.maximum(y - low * x, 0), np.maximum(high * x - y, 0)],
            fmt="o-", capsize=2, label=f"{family} ({len(own)} sets)",
        )  # fmt: skip
        line[2][0].set_alpha(0.6)
    titles = ("Measured compounds", "Simulated families: means, quartiles of sets")
    for axis, title in zip(axes, titles):
        ends = np.array([0.01, 1.5])
        axis.plot(ends, ends, color="black", lw=1)
        axis.fill_between(ends, 0.8 * ends, 1.25 * ends, color="0.9", zorder=0)
        axis.set(xscale="log", yscale="log", xlim=ends, ylim=ends, title=title,
                 xlabel="expected Σ|ΔF| / ΣF")  # fmt: skip
        ticks = [0.02, 0.05, 0.1, 0.2, 0.5, 1]
        for own in (axis.xaxis, axis.yaxis):
            own.set_ticks(ticks, [f"{x:g}" for x in ticks])
            own.set_ticks([], minor=True)
        axis.legend(frameon=False, loc="upper left")
    axes[0].set_ylabel("true Σ|ΔF| / ΣF")
    figure.tight_layout()
    target = IMAGES / "reliability.png"
    figure.savefig(target, dpi=100)
    make_small(target)


def make_notebook() -> None:
    """What the example of the Python interface prints."""
    script = DOCS / "tutorial" / "notebook.py"
    printed = subprocess.run(
        [sys.executable, str(script)], check=True, capture_output=True, text=True
    ).stdout
    (OUTPUT / "notebook.txt").write_text(printed, encoding="utf-8")


def make_tutorial(work: Path, step: str | None) -> None:
    """Run the tutorial, or what of it is wanted, and draw its reports."""
    folder = work / "tutorial"
    script = str(DOCS / "tutorial" / "run.sh")
    subprocess.run([script, str(folder), *([step] if step else [])], check=True)
    for command in ("compare_images", "ml_correct"):
        page = folder / f"dials.{command}.html"
        screenshot(page, f"tutorial_{command}.png", 1000)


def main() -> None:
    """Do what is wanted."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument(
        "parts", nargs="*", help="reports, tutorial (both by default), reliability"
    )
    parser.add_argument("--work", type=Path, default=Path("build/pictures"))
    parser.add_argument("--step", help="of the tutorial, to begin with (see run.sh)")
    parser.add_argument("--figures", type=Path, help="of benchmarks/general_model.py")
    chosen = parser.parse_args()
    parts = chosen.parts or ["reports", "tutorial"]
    IMAGES.mkdir(exist_ok=True)
    if "reports" in parts:
        make_reports(chosen.work.resolve())
        make_notebook()
    if "reliability" in parts:
        if chosen.figures is None:
            sys.exit("reliability needs --figures FOLDER")
        make_reliability(chosen.figures)
    if "tutorial" in parts:
        make_tutorial(chosen.work.resolve(), chosen.step)


if __name__ == "__main__":
    main()
