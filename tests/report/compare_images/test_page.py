"""The page: complete, safe, and alive in a browser without a network."""

from __future__ import annotations

import json
import re
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest

from dials_spread.report.compare_images.outputs import page_sections, summarise
from dials_spread.report.compare_images.page import (
    MOST_ROWS,
    compare_images_page,
    table_rows,
)
from dials_spread.report.compare_images.pictures import build_picture
from dials_spread.report.page.plot_style import plain

EVIL = 'a<script>document.title="evil"</script>&b.refl'


def make_document(matches, agreement, operators):
    numbers = {**vars(matches), **vars(agreement)}
    n = len(matches)
    names = {"dataset": 0, "crystal": 1, "image": 3}
    columns = {f"{name}_{e}": [x] * n for name, x in names.items() for e in "ab"}
    columns.update(image_last_a=[3] * n, image_last_b=[6] * n)
    columns.update({k: v for k, v in numbers.items() if not k.startswith("image")})
    columns["operator"] = [operators.symbols[k] for k in matches.operator]
    return {
        "command": "dials.compare_images",
        "version": "0.1.0",
        "dials_version": "DIALS 3.12",
        "input": {
            "files": ["good.expt", EVIL],
            "crystals": 6,
            "images": 247,
            "observations": 10960,
            "dropped": {"variance not positive": 12},
        },
        "intensity": "profile",
        "parameters": {"image_width": "0", "matching.top": "10"},
        "matches": plain(columns),
    }


def make_page(parts, summary=("A sentence.",), pictures=None, reference=None):
    pictures = [None] * len(parts.spots) if pictures is None else pictures
    document = make_document(parts.matches, parts.agreement, parts.operators)
    return compare_images_page(
        *(parts.observations, parts.operators, parts.matches, parts.agreement),
        *(parts.spots, pictures, list(summary), document, reference),
    )


@pytest.fixture
def page(parts):
    return make_page(parts)


class Elements(HTMLParser):
    """Collects what a test asks about."""

    def __init__(self, page):
        super().__init__()
        self.found, self.scripts, self.inside = [], [], None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.inside = dict(attrs) if tag == "script" else None

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside is not None:
            self.scripts.append((self.inside, data))


def test_file_names_cannot_run(page):
    elements = Elements(page)
    assert EVIL not in page
    assert "a&lt;script&gt;document.title" in page
    # The plots' data, plotly.js and the page's own script, and nothing else.
    plots = [a for t, a in elements.found if t == "div" and a.get("class") == "plot"]
    assert sum(t == "script" for t, _ in elements.found) == len(plots) + 2


def test_data_cannot_end_their_script_element(parts):
    page = make_page(parts, summary=["</script><script>alert(1)</script>"])
    assert "<script>alert(1)" not in page


def test_nothing_is_loaded_from_anywhere(page):
    for tag, attributes in Elements(page).found:
        assert "src" not in attributes, tag
        if "href" in attributes:
            assert attributes["href"].startswith("#"), attributes
        assert tag not in ("link", "iframe", "object", "base")
    assert "default-src 'none'" in page
    own = page.split("/**\n* plotly.js")[0]
    assert len(own) < len(page) / 2
    assert not re.search(r"url\(|@import", own)


@pytest.mark.parametrize("case", ["parts", "undefined"])
def test_all_data_are_json_without_nan(case, request):
    page = make_page(request.getfixturevalue(case))
    data = [
        json.loads(text, parse_constant=lambda name: pytest.fail(name))
        for attributes, text in Elements(page).scripts
        if attributes.get("type") == "application/json"
    ]
    assert len(data) == 8 + 2 * 3
    for plot in data:
        assert set(plot) == {"data", "layout"}


def test_links_lead_somewhere(page):
    elements = Elements(page).found
    names = {a["id"] for _, a in elements if "id" in a}
    targets = {a["href"][1:] for t, a in elements if t == "a"}
    targets |= {a["data-anchor"] for _, a in elements if "data-anchor" in a}
    targets |= {a["data-json"] for _, a in elements if "data-json" in a}
    assert {"pair-1", "pair-2", "list"} <= targets <= names


def test_long_lists_are_cut_but_keep_the_pairs_that_are_shown():
    names = ("dataset", "crystal", "image", "image_last")
    columns = {f"{n}_{end}": [1] * 2000 for n in names for end in "ab"}
    more = {"n_common": [5] * 2000, "operator": ["h,k,l"] * 2000}
    document = {"matches": {**columns, **more}}
    rows = table_rows(document, {1700: "pair-1701", 2500: "pair-2501"})
    assert len(rows) == MOST_ROWS + 1
    assert rows[-1]["anchor"] == "pair-1701"
    assert rows[0]["cells"][0]["text"] == "5"
    assert rows[0]["cells"][-1] == {"text": "–", "key": "", "number": True}


def test_no_pairs_at_all(parts):
    none = np.array([], dtype=int)
    parts.matches = type(parts.matches)(**dict.fromkeys(vars(parts.matches), none))
    parts.agreement = type(parts.agreement)(
        **{k: none.astype(float) for k in vars(parts.agreement)}
    )
    parts.spots = []
    page = make_page(parts)
    assert "No two images have enough indices in common" in page


def test_the_page_is_no_larger_than_it_must_be(page):
    assert page.count("* plotly.js (basic - minified) v") == 1
    assert len(page.encode("utf-8")) < 3e6


def open_page(browser, page, folder):
    """Load a page from disk; give the document as it is then, and the console."""
    path = folder / "page.html"
    path.write_text(page, encoding="utf-8")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"]
    command += ["--no-first-run", "--disable-background-networking"]
    command += [
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
    ]
    # A proxy that nothing listens at stands for a cable that is not plugged in.
    command += ["--proxy-server=127.0.0.1:9", f"--user-data-dir={folder / 'profile'}"]
    command += ["--enable-logging=stderr", "--virtual-time-budget=30000"]
    command += ["--window-size=1300,9000", "--dump-dom", path.as_uri()]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.slow
def test_a_browser_draws_every_plot_from_disk(browser, parts, tmp_path):
    page = make_page(parts)
    extra = '<script>document.title = document.querySelectorAll("tr.shown").length;</script>'
    dom, console = open_page(browser, page + extra, tmp_path)
    assert console == []
    places = re.findall(r'<div class="plot[^"]*"[^>]*id="([^"]+)"[^>]*>', dom)
    drawn = re.findall(r'<div class="plot[^"]*"[^>]*data-drawn="1"', dom)
    assert len(places) == len(drawn) == 8 + 2 * 3
    # One a plot at least; plotly puts hover layers into more.
    assert dom.count('class="main-svg"') >= len(places)
    assert "<title>2</title>" in dom
    assert re.search(r'id="shown">\d+ of \d+ rows', dom)


@pytest.mark.slow
def test_a_browser_shows_the_raw_pictures(browser, raw_electrons, parts, tmp_path):
    c = raw_electrons
    picture = build_picture(c.experiments, c.observations, c.spots[0])
    page = make_page(
        type(parts)(
            observations=c.observations,
            operators=c.incidence.operators,
            matches=c.matches,
            agreement=c.agreement,
            spots=c.spots,
        ),
        pictures=[picture],
    )
    dom, console = open_page(browser, page, tmp_path)
    assert console == []
    assert len(re.findall(r'<image [^>]*href="data:image/png', dom)) == 3


@pytest.mark.slow
def test_the_table_sorts_and_filters(browser, parts, tmp_path):
    script = """
    <script>
    const heading = document.querySelectorAll("#table th")[3];
    const first = () => document.querySelector("#table tbody tr").cells[3].textContent;
    heading.click();
    const lowest = first();
    heading.click();
    const highest = first();
    const least = document.getElementById("least");
    least.value = 20;
    least.dispatchEvent(new Event("input"));
    document.title = [lowest, highest, document.getElementById("shown").textContent];
    </script>
    """
    dom, console = open_page(browser, make_page(parts) + script, tmp_path)
    n = parts.matches.n_common
    shown = f"{(n[:MOST_ROWS] >= 20).sum()} of {min(len(n), MOST_ROWS)} rows"
    assert f"<title>{n.min()},{n.max()},{shown}</title>" in dom
    assert console == []


@pytest.mark.slow
@pytest.mark.parametrize("width", [1300, 420])
@pytest.mark.parametrize("case", ["electrons", "raw_electrons"])
def test_nothing_overlaps_at_this_width(case, width, layout_of, request):
    c = request.getfixturevalue(case)
    picture = None
    if case == "raw_electrons":
        picture = build_picture(c.experiments, c.observations, c.spots[0])
    told = summarise(c, files=["some.expt", "some.refl"])
    page = compare_images_page(
        *(c.observations, c.incidence.operators, c.matches, c.agreement),
        *(c.spots[:1], [picture], told.input),
        make_document(c.matches, c.agreement, c.incidence.operators),
        findings=told.findings,
        sections=page_sections(c),
        next_steps=told.next_steps,
    )
    layout = layout_of(page, width)
    assert layout["faults"] == []
    assert layout["width"] == width and layout["plots"] > 20


@pytest.mark.slow
def test_the_look_at_the_layout_sees_what_is_wrong(parts, layout_of):
    page = make_page(parts)
    low = "<style>.plot .modebar-container { top: 40px !important; }</style></head>"
    faults = layout_of(page.replace("</head>", low), 1300)["faults"]
    assert any(f.endswith("tool bar on frame") for f in faults)
    wide = '<div style="width: 900px">x</div></body>'
    faults = layout_of(page.replace("</body>", wide), 420)["faults"]
    assert any(f.startswith("the page is 9") for f in faults)
    unknown = page.replace('"hovermode":"closest"', '"hovermode":"farthest"')
    assert any("hovermode" in f for f in layout_of(unknown, 1300)["faults"])
