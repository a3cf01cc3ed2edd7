"""For notebooks: `progress(veo)` shows a run while it lasts; `store_films` bounds the films that a notebook holds.

Clips show themselves: see `aveo3.display`. Nothing here needs more than the kernel that a notebook has anyway.
"""

from __future__ import annotations

from aveo3.notebook.live import progress
from aveo3.notebook.storing import store_films

__all__ = ["progress", "store_films"]
