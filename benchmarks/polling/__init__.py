"""How soon after its end an operation is found, and at how many polls."""
