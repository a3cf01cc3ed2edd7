"""What the journal knows of an earlier clip that a prompt names with `previous`: its length and resolution."""

from __future__ import annotations

from aveo3.config.catalog import Catalog
from aveo3.config.source_clip import SourceClip
from aveo3.journal.reader import JournalReader
from aveo3.journal.rows import JobRecord
from aveo3.lanes.source_clips import source_at


def earlier_clip(record: JobRecord, journal: JournalReader, catalog: Catalog) -> SourceClip | None:
    """What the clip of `record` is: as its file says, else as it was ordered; None if neither tells. Reads the disk.

    The order of a clip that was made from another one does not say how long it became.
    """
    for file in record.files:
        if (source := source_at(journal.locate(file))) is not None and source.seconds is not None:
            return source
    card, prompt = catalog.models.get(record.model), record.prompt
    if card is None or prompt.get("video") or prompt.get("previous"):
        return None
    seconds = prompt.get("duration_seconds") or card.default_duration
    return SourceClip(seconds, prompt.get("resolution") or card.default_resolution)
