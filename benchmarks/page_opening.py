"""
How long pages take to open in headless Chromium.

Usage::

    python benchmarks/page_opening.py PAGE.html [PAGE.html …] [--repeats 3] [--window 1400,4000]
    python benchmarks/page_opening.py --maps [--images 145000] [--pairs 1000000]

Of each page its size, the time that a browser takes from its start until all figures are
drawn that are in its window, or near it (elapsed, and of all its processes), and for comparison the same of an empty page:
the difference is the page's. ``--maps`` draws the two maps of dials.compare_images of
images and pairs made at random, and says how long that takes, and how large the figures
are; with --folder it keeps their page.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
EMPTY = "<!DOCTYPE html><html><body>Nothing</body></html>"


def browser() -> str:
    """The browser, or an exit that says how to get one."""
    for name in BROWSERS:
        if shutil.which(name):
            return name
    sys.exit("No Chromium: apt-get install chromium, or the like")


def open_once(page: Path, window: str) -> tuple[float, float]:
    """Elapsed time and processor time [s] from the browser's start to its end."""
    with tempfile.TemporaryDirectory() as profile:
        line = [browser(), "--headless=new", "--no-sandbox", "--disable-gpu"]
        line += [f"--user-data-dir={profile}", "--no-first-run", "--timeout=60000"]
        line += ["--disable-dev-shm-usage", f"--window-size={window}", "--dump-dom"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        begin = time.perf_counter()
        subprocess.run(
            [*line, page.resolve().as_uri()], check=True, capture_output=True
        )
        elapsed = time.perf_counter() - begin
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return elapsed, processor


def told(name: str, page: Path, given, empty: tuple[float, float]) -> None:
    """Print what a page takes, medians of several times."""
    runs = [open_once(page, given.window) for _ in range(given.repeats)]
    runs = np.median(runs, axis=0)
    size = page.stat().st_size / 1e6
    print(
        f"{name}: {size:.1f} MB, {runs[0]:.2f} s elapsed ({runs[0] - empty[0]:.2f} more "
        f"than an empty page), {runs[1]:.2f} s of processor ({runs[1] - empty[1]:.2f})"
    )


def maps(n_images: int, n_pairs: int, folder: Path) -> Path:
    """Draw both maps of images and pairs at random, and write them to a page."""
    from cctbx import sgtbx, uctbx

    from dials_spread.orientation import reciprocal_basis
    from dials_spread.report.compare_images.plots_maps import image_map, orientation_map
    from dials_spread.report.page.template import static_text
    from dials_spread.symmetry import laue_operators

    rng = np.random.default_rng(1)
    cell = uctbx.unit_cell((5.5, 12.7, 20.1, 90, 90, 90))
    group = sgtbx.space_group_info("P 21 21 21").group()
    operators = laue_operators(group, reciprocal_basis(cell), True)
    beam = rng.normal(size=(n_images, 3))
    beam /= np.linalg.norm(beam, axis=1, keepdims=True)

    class Images(SimpleNamespace):
        def __len__(self) -> int:
            return n_images

    crystal = np.arange(n_images) // 60
    images = Images(beam=beam, crystal=crystal)
    observations = SimpleNamespace(images=images, unit_cell=cell)

    class Pairs(SimpleNamespace):
        def __len__(self) -> int:
            return n_pairs

    a, b = rng.integers(0, n_images, size=(2, n_pairs))
    pairs = Pairs(image_a=np.minimum(a, b), image_b=np.maximum(a, b))
    agreement = SimpleNamespace(r_factor=rng.gamma(4, 0.06, n_pairs))
    begin = time.process_time()
    plots = {
        "orientations": orientation_map(observations, operators, pairs),
        "matched_images": image_map(observations, pairs, agreement),
    }
    print(f"Maps drawn in {time.process_time() - begin:.2f} s of processor")
    parts = [f"<!DOCTYPE html><html><body><script>{static_text('plotly-basic.min.js')}"]
    parts.append("</script>")
    for name, plot in plots.items():
        text = json.dumps({"data": plot["data"], "layout": plot["layout"]})
        print(f"  {name}: {len(text) / 1e6:.2f} MB")
        parts.append(f"<div id='{name}' style='width:700px'></div><script>")
        parts.append(f"Plotly.newPlot('{name}', {text})</script>")
    page = folder / "maps.html"
    page.write_text("".join(parts) + "</body></html>", encoding="utf-8")
    return page


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("pages", nargs="*", type=Path)
    parser.add_argument("--maps", action="store_true")
    parser.add_argument("--images", type=int, default=145_000)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--window", default="1400,4000", help="pixels")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kept = given.folder or Path(folder)
        pages = list(given.pages)
        if given.maps:
            pages.append(maps(given.images, given.pairs, kept))
        blank = Path(folder) / "empty.html"
        blank.write_text(EMPTY, encoding="utf-8")
        empty = np.median(
            [open_once(blank, given.window) for _ in range(given.repeats)], axis=0
        )
        print(f"Empty page: {empty[0]:.2f} s elapsed, {empty[1]:.2f} s of processor")
        for page in pages:
            told(page.name, page, given, empty)


if __name__ == "__main__":
    main()
