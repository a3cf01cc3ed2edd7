"""`store_films`: how many films the outputs of a notebook hold."""

from __future__ import annotations

from math import isnan

from aveo3.display.films import MEGABYTE, NOTEBOOK, OUTPUT, SHELF
from aveo3.errors import UsageError


def store_films(output_mb: float = OUTPUT / MEGABYTE, notebook_mb: float = NOTEBOOK / MEGABYTE) -> None:
    """Store up to `output_mb` MB of films in each output of this notebook, and up to `notebook_mb` MB in all of them.

    Other films play from their files, as long as the notebook is in the same place beside them. `store_films(0)` stores
    none, for a notebook that goes into a repository; `store_films(inf, inf)` stores all. It holds for what this kernel
    shows from now on. A film takes a third more in the notebook than on disk.
    """
    for name, value in (("output_mb", output_mb), ("notebook_mb", notebook_mb)):
        if isinstance(value, bool) or not isinstance(value, int | float) or isnan(value) or value < 0:
            raise UsageError(f"{name} must be a number of MB, 0 or more, not {value!r}")
    SHELF.output, SHELF.notebook = output_mb * MEGABYTE, notebook_mb * MEGABYTE
