"""What the emulator is told: options, quotas, faults, latencies, scenarios."""
