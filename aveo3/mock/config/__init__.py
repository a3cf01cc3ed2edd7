"""The configuration of the emulator: options, quotas, faults, latencies, scenarios."""
