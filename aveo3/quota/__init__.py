"""May a request leave now: the gate of a lane, its breaker, windows and bucket, and what it learns."""
