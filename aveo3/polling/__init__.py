"""When to ask whether a running operation has ended."""
