"""The polling benchmark: how soon after its end an operation is noticed, and with how many polls."""
