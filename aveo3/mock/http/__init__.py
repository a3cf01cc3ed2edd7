"""What all of the emulator's surfaces share: who calls, what a fault does to a response, byte ranges."""
