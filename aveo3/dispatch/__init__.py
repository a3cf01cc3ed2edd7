"""Many jobs: planned, queued, handed to lanes, streamed to the reader."""
