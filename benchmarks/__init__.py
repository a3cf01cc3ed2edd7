"""Measurements of aveo3: `python -m benchmarks` lists them, `python -m benchmarks NAME` runs one.

A benchmark is one module. It states its question first, compares with an optimum or with rivals on the same emulator,
reports median and spread, and writes every single run with machine, versions and seed as JSON. What is shown of it is
made from that file alone, by the module itself or by its neighbour NAME_shown. The shared parts:

    optimum    the best that any client could do, per way of counting         pure
    rivals/    what people write today, one contestant a file
    lane       one lane of the emulator in virtual time: its rules and words, without its wire
    contest    many seeds of one task on such a lane, for all contestants, spread over processes
    emulator   aveo3.mock in a process of its own, so that nobody's client pays for its work
    machine    what a result is worth nothing without: CPU, OS, versions, date
    table      rows to text, or Markdown
    aims       what was wanted and what came of it: the table above all others
    results    what was found, as JSON
    plots      the same as pictures
    readme     from the results to benchmarks/README.md and README.md
"""
