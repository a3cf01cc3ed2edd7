"""Omni's wire: Interactions, and the webhooks that tell of their ends."""
