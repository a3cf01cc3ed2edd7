"""When to poll a running operation."""
