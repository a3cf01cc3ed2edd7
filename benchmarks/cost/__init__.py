"""What the client itself costs: CPU, memory, stalls, disk."""
