"""The contestants, and names that the workers of the rivals and those who give them work must agree on."""

DBOS_QUEUE, DBOS_WORKFLOW = "veo", "make"
REDIS_STREAM, REDIS_GROUP, REDIS_OPERATIONS, REDIS_BUCKET = "clips", "workers", "operations", "quota"

OURS = "aveo3"
CONTESTANTS = {
    OURS: "aveo3",
    "dbos": "DBOS, a queue with a limiter",
    "redis": "pyrate-limiter over Redis, and a stream",
}
"""The contestants by their names on the command line."""
