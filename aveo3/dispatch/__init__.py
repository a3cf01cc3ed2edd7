"""Many jobs: plans them, queues them, hands them to lanes, streams their clips to the reader."""
