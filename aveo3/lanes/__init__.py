"""Lanes, the places with a quota of their own: their settings, the routes of prompts, the estimate of a batch."""
