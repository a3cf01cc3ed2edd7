"""What happens in a run, as typed events: `kinds` lists them, `bus` hands them to whoever listens."""
