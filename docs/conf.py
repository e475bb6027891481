"""Sphinx settings. The pages are plain text: DIALS is not needed to build them."""

from __future__ import annotations

import re
from pathlib import Path

INIT = Path(__file__).parents[1] / "dials_spread" / "__init__.py"

project = "dials_spread"
author = "dials_spread developers"
copyright = "2026, dials_spread developers"
release = re.search(r'__version__ = "(.+)"', INIT.read_text(encoding="utf-8")).group(1)
version = release

exclude_patterns = ["_build"]
html_theme = "sphinx_rtd_theme"
html_title = f"dials_spread {release}"
