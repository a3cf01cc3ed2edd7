"""What the emulator knows: operations, films, buckets, its clock, and the ledger of what was paid."""
