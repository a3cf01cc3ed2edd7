"""Veo's wire protocol: `predictLongRunning`, `fetchPredictOperation`, models."""
