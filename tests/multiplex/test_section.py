"""The section in the report of xia2.multiplex."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from dials_spread.multiplex.section import add_section, figures_of, section_html
from dials_spread.multiplex.step import CorrectionStep

OVERALL = {
    **{"n_observations": 10960, "n_unique": 1079, "multiplicity": 10.157},
    **{"completeness": 0.891, "mean_i_over_sigma": 22.05, "r_merge": 0.2931},
    **{"r_meas": 0.3094, "r_pim": 0.089, "cc_half": None},
}

DOCUMENT = {
    "verdict": {"headline": "CORRECTED: R1 < 0.2 & falling", "reasons": ["Because."]},
    "correction": {"warnings": ["mind <this>"]},
    "merging_statistics": {
        "before": {"overall": OVERALL},
        "after": {"overall": {**OVERALL, "r_meas": 0.2921}},
    },
}

REPORT = Path("/run/7_dials.ml_correct.html")
STEPS = [
    CorrectionStep("All data", "after", 5.0, html=REPORT, text="a log with <tags> &",
                   document=DOCUMENT),
    CorrectionStep("cluster 2", "after", 0.1, refused="too few"),
]  # fmt: skip

PAGE = """<html><body><ul><li>Summary</li></ul>
<div class="tab-content"><div id="home" class="tab-pane in active"><h2>Cosym</h2></div>
<div id="dataset_All_data" class="tab-pane"></div></div></body></html>"""


class Outline(HTMLParser):
    """Checks that what is opened is closed, and collects text and links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.links: list[str] = []
        self.path_of: dict[str, int] = {}
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.links += [value for name, value in attrs if name == "href"]
        for name, value in attrs:
            if name == "id":
                self.path_of[value] = len(self.open)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_section_says_what_the_step_said():
    found = Outline(section_html(STEPS, {REPORT: "LogFiles/7_dials.ml_correct.html"}))
    text = " ".join(" ".join(found.text).split())
    for told in (
        *("All data, corrected after scaling", "CORRECTED: R1 < 0.2 & falling"),
        *("Because.", "Warning: mind <this>", "a log with <tags> &"),
        *("cluster 2, corrected after scaling", "Not corrected: too few"),
        *("Please cite: dials_spread developers", "Acta Cryst. D74, 85-97"),
    ):
        assert told in text
    assert found.links == ["LogFiles/7_dials.ml_correct.html"]


def test_figures_are_those_of_the_step():
    rows = {name: cells for name, *cells in figures_of(STEPS[0]).rows}
    assert rows["observations"] == ["10,960", "10,960"]
    assert rows["completeness [%]"] == ["89.1", "89.1"]
    assert rows["R_meas"] == ["0.309", "0.292"]
    assert rows["CC½"][0] == rows["CC½"][1] != "None"


def test_the_report_gets_the_section_and_loses_nothing(tmp_path):
    report = tmp_path / "xia2.multiplex.html"
    report.write_text(PAGE, encoding="utf-8")
    section = section_html(STEPS, {})
    add_section(report, section)
    page = report.read_text(encoding="utf-8")
    assert page.replace(f"\n{section}\n", "") == PAGE
    depth = Outline(page).path_of
    assert depth["dials_spread_correction"] == depth["home"] + 1
    assert page.index("dials_spread_correction") < page.index("Cosym")


@pytest.mark.parametrize(
    "page", ["<html><body><p>new</p></body></html>", "<p>bare</p>"]
)
def test_a_report_of_another_form_gets_it_at_its_end(tmp_path, page):
    report = tmp_path / "xia2.multiplex.html"
    report.write_text(page, encoding="utf-8")
    section = section_html(STEPS, {})
    add_section(report, section)
    found = report.read_text(encoding="utf-8")
    assert found.replace(f"\n{section}\n", "") == page
    assert found.index("</p>") < found.index("dials_spread_correction")
