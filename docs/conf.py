"""Sphinx settings. DIALS has to be importable: parameters and docstrings are read."""

from __future__ import annotations

import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
INIT = HERE.parent / "dials_spread" / "__init__.py"
sys.path[:0] = [str(HERE.parent), str(HERE / "_extensions")]

try:
    import dials  # noqa: F401
except ImportError as error:
    raise SystemExit(
        f"The documentation needs DIALS ({error}): it lists the parameters of the "
        "commands and the docstrings of the package. Make an environment with "
        "dev/bootstrap, or conda env create -f environment.yml, and build the pages "
        "with its Python: python -m sphinx -W -b html docs build/docs"
    ) from None

project = "dials_spread"
author = "dials_spread developers"
copyright = "2026, dials_spread developers"
release = re.search(r'__version__ = "(.+)"', INIT.read_text(encoding="utf-8")).group(1)
version = release

extensions = [
    "formula_functions",
    "phil_parameters",
    "plain_docstrings",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_use_ivar = True

exclude_patterns = ["_build", "tutorial", "output"]
html_theme = "sphinx_rtd_theme"
html_title = f"dials_spread {release}"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
