"""Settings, the environment variables they come from, and the catalog of models."""
