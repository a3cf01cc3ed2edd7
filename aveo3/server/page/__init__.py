"""The live page of a run: its view, kept up to date, and a server on this machine that shows it to its owner."""
