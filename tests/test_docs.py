"""The documentation builds; Sphinx has no warning."""

from __future__ import annotations

import pytest


@pytest.mark.slow
def test_sphinx_has_no_warning(run_tool, tmp_path):
    places = (tmp_path / "doctrees", "docs", tmp_path / "html")
    result = run_tool("sphinx", "-q", "-W", "--keep-going", "-b", "html", "-d", *places)
    assert result.returncode == 0, result.stdout + result.stderr
    assert (tmp_path / "html" / "index.html").is_file()
