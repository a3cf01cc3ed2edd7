"""The state of the emulator: operations, films, buckets, the clock, and the books of what was paid."""
