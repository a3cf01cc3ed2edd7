"""Pictures of the README, of the benchmarks' page, and, by `python -m benchmarks.pictures`, of the guide."""
