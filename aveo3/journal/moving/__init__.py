"""Moves a journal to another place: between a directory and a database that many processes share."""
