"""Types: mypy finds no error, with the settings of pyproject.toml."""

from __future__ import annotations

import pytest


@pytest.mark.slow
def test_mypy_finds_nothing(run_tool, tmp_path):
    result = run_tool("mypy", "--cache-dir", tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
