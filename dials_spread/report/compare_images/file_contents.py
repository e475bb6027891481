"""
What goes into the files of dials.compare_images.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Callable

from dials.array_family import flex

from dials_spread.comparison import Comparison
from dials_spread.report.compare_images.long_tables import (
    long_tables,
    tables_as_bytes,
)
from dials_spread.report.page.document import write_json
from dials_spread.valid_input.stored_columns import column_by_column


def contents_of_files(
    comparison: Comparison,
    document: dict,
    page: Callable[[], str],
    output,
    filtered: flex.reflection_table | None,
) -> dict[str, bytes | Iterable[bytes]]:
    """
    Give the contents of files by their names.

    Args:
        comparison: The results.
        document: The JSON document.
        page: Makes the report.
        output: Names of files, as the command's ``output`` scope.
        filtered: Reflections with noisy spots set aside, for output.filtered.
    """
    files: dict[str, bytes | Iterable[bytes]] = {}
    if filtered is not None:
        files[output.filtered] = column_by_column(filtered)
    if output.json:
        files[output.json] = write_json(document).encode("utf-8")
    # Compression holds no lock. Beside the text of the document it would need more memory.
    with ThreadPoolExecutor(1) as beside:
        if output.tables:
            tables = beside.submit(tables_as_bytes, long_tables(comparison))
            files[output.tables] = b""  # its place
        if output.html:
            files[output.html] = page().encode("utf-8")
        if output.tables:
            files[output.tables] = tables.result()
    return files
