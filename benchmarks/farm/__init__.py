"""Several processes that share one quota, and what disturbs them: see `farm`."""
