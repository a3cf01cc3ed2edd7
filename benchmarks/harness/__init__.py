"""Code that all benchmarks share: machine, emulator, results, tables, plots."""
