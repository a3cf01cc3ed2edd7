"""One job, from its permit to its clip."""
