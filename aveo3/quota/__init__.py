"""May a request leave now: the gate of a lane with its breaker, windows and token bucket, and the limits it learns."""
