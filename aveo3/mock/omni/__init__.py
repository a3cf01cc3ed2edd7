"""Omni's wire protocol: the Interactions API and its webhooks."""
