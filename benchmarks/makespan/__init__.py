"""A whole batch over HTTP, against the optimum and the rivals."""
