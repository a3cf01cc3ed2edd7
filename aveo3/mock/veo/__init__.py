"""Veo's wire: `predictLongRunning`, `fetchPredictOperation`, models."""
