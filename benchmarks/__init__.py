"""Benchmarks of aveo3: `python -m benchmarks` lists them, `python -m benchmarks NAME` runs one.

A benchmark is one module. It states its question first, compares with an optimum or with rivals on the same emulator,
reports median and spread, and writes every single run with machine, versions and seed as JSON. Tables and plots are
made from that file alone, by the module itself or by a report module beside it. The shared parts:

    makespan/optimum      the best possible times for each way of counting; pure
    rivals/               what people write today, one contestant per file
    contests/contest      the definition of a contest: cases, score, goals
    contests/runner       many seeds of one task on a virtual lane, for all contestants, in several processes
    harness/lane          one lane of the emulator in virtual time: its rules and bodies, without its wire
    harness/emulator      aveo3.mock in its own process, so that its CPU time does not count for a client
    harness/machine       CPU, OS, versions and date of a result
    harness/table         rows as text or Markdown
    harness/aims          aims and measured values: the table at the top
    harness/results       results as JSON
    harness/plots         results as pictures
    harness/readme        writes results into benchmarks/README.md and README.md
"""
