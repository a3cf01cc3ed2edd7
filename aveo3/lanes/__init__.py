"""Places with a quota of their own: named, routed to, estimated."""
