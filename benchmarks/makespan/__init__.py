"""A whole batch over HTTP, compared with the optimum and the rivals."""
