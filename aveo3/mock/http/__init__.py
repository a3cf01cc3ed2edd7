"""HTTP code that all surfaces of the emulator share: credentials, the effects of faults, byte ranges."""
