"""The documentation builds; Sphinx has no warning."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_sphinx_has_no_warning(run_tool, tmp_path):
    places = (tmp_path / "doctrees", "docs", tmp_path / "html")
    result = run_tool("sphinx", "-q", "-W", "--keep-going", "-b", "html", "-d", *places)
    assert result.returncode == 0, result.stdout + result.stderr
    assert (tmp_path / "html" / "index.html").is_file()


@pytest.mark.parametrize("name", ["CHANGELOG.rst", "CONTRIBUTING.rst", "newsfragments"])
def test_the_change_log_and_what_it_is_made_of_are_sound(name):
    """The change log and what it is built from have no errors of markup."""
    core = pytest.importorskip("docutils.core", reason="docutils is not installed")
    path = ROOT / name
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        text = file.read_text(encoding="utf-8")
        assert text.endswith("\n") and text.strip()
        told = io.StringIO()
        settings = {"report_level": 2, "warning_stream": told, "halt_level": 5}
        core.publish_doctree(text, settings_overrides=settings)
        assert told.getvalue() == "", file.name
