"""Contests in virtual time: aveo3 and its rivals on the same virtual lane."""
