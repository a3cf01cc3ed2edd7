"""The cost of the client itself: CPU, memory, stalls, disk."""
