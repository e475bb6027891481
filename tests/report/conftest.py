"""Inputs for the report: a small comparison made by hand, and two measured ones."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LAYOUT = Path(__file__).with_name("page") / "layout.js"

# Chromium makes no window narrower than 500 pixels; a frame can be.
OUTER = """<!DOCTYPE html><body>
<iframe src="page.html" width="{width}" height="4000" style="border: 0"></iframe>
<pre id="answer"></pre>
<script>
window.addEventListener("message", function (event) {{
  document.getElementById("answer").textContent = event.data;
}});
</script></body>"""


@pytest.fixture(scope="session")
def browser():
    for name in BROWSERS:
        if shutil.which(name):
            return shutil.which(name)
    reason = f"no browser: none of {', '.join(BROWSERS)} is installed"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def layout_of(browser, tmp_path):
    """A function that gives what overlaps or is cut off on a page of some width."""

    def look(page: str, width: int) -> dict:
        script = f"<script>{LAYOUT.read_text(encoding='utf-8')}</script></body>"
        text = page.replace("</body>", script)
        (tmp_path / "page.html").write_text(text, encoding="utf-8")
        outer = tmp_path / "outer.html"
        outer.write_text(OUTER.format(width=width), encoding="utf-8")
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu"]
        command += ["--no-first-run", "--disable-dev-shm-usage"]
        command += [f"--user-data-dir={tmp_path / 'profile'}"]
        command += ["--virtual-time-budget=60000", "--window-size=1400,4000"]
        done = subprocess.run(
            [*command, "--dump-dom", outer.as_uri()],
            capture_output=True,
            text=True,
            timeout=400,
            check=True,
        )
        answer = re.search(r'<pre id="answer">(.*?)</pre>', done.stdout, re.S).group(1)
        return json.loads(html.unescape(answer))

    return look


@pytest.fixture
def three_spots():
    """A pair with three common reflections; the last has no other observation."""
    from dials_spread.pairs import SpotComparison

    nan = np.nan
    return SpotComparison(
        image_a=0,
        image_b=2,
        miller_index=np.array([[1, 0, 0], [0, 2, -1], [3, 1, 1]]),
        d_spacing=np.array([10.0, 4.0, 2.5]),
        intensity_a=np.array([100.0, 50.0, -2.0]),
        sigma_a=np.array([5.0, 4.0, 3.0]),
        intensity_b=np.array([110.0, 40.0, 1.0]),
        sigma_b=np.array([6.0, 5.0, 4.0]),
        z=np.array([-1.28, 1.56, -0.6]),
        background_n=np.array([3, 1, 0]),
        background_mean=np.array([90.0, 300.0, nan]),
        background_median=np.array([80.0, 300.0, nan]),
        background_sd=np.array([20.0, nan, nan]),
        percentile_a=np.array([66.7, 0.0, nan]),
        percentile_b=np.array([100.0, 0.0, nan]),
        merged_mean=np.array([95.0, 120.0, -0.9]),
        background_spot=np.array([0, 0, 0, 1]),
        background_intensity=np.array([70.0, 80.0, 120.0, 300.0]),
        position_a=np.array([[0.1, 0.0], [0.2, 0.15], [-0.3, 0.25]]),
        position_b=np.array([[0.1, 0.01], [0.2, 0.15], [-0.3, 0.25]]),
        spots_a=np.array([[0.1, 0.0], [0.2, 0.15], [-0.3, 0.25], [0.5, 0.1]]),
        spots_b=np.array([[0.1, 0.01], [0.2, 0.15], [-0.3, 0.25]]),
        turn=np.eye(2),
    )


@pytest.fixture(scope="session")
def electrons(read_measured):
    """The comparison of crystals of abiraterone acetate, frame by frame."""
    from dials_spread.comparison import Matching, compare_images

    experiments, tables = read_measured("abiraterone/integrated")
    return compare_images(
        [*experiments], tables, matching=Matching(min_common=8), image_width=0
    )


@pytest.fixture(scope="session")
def raw_electrons(read_measured):
    """One crystal of cinchonine with its raw frames, compared with itself."""
    from dials_spread.comparison import Matching, compare_images

    experiments, tables = read_measured("cinchonine_images/integrated")
    matching = Matching(min_common=4, exclude_same_crystal=False)
    return compare_images([*experiments], tables, matching=matching, n_pairs_shown=1)


@pytest.fixture
def parts(electrons):
    """What the page is made of, without pictures: arguments by name."""
    return SimpleNamespace(
        observations=electrons.observations,
        operators=electrons.incidence.operators,
        matches=electrons.matches,
        agreement=electrons.agreement,
        spots=electrons.spots[:2],
    )


@pytest.fixture
def undefined(parts):
    """The same with all statistics undefined."""
    n = len(parts.matches)
    names = vars(parts.agreement)
    nothing = replace(parts.agreement, **{k: np.full(n, np.nan) for k in names})
    return SimpleNamespace(**{**vars(parts), "agreement": nothing})
