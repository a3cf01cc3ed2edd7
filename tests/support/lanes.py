"""Shared by the tests with several lanes: lanes, and the service behind each."""

from __future__ import annotations

from typing import Any

from aveo3 import VeoClient
from aveo3.backends.base import Finished, Video
from aveo3.config.settings import Settings
from aveo3.testing import ScriptedBackend
from aveo3.testing.scripted import FILM
from aveo3.verdicts import Verdict
from tests.support.settings import settings
from tests.support.virtual import NoJitter, now_utc

BEST = "veo-3.1-generate-001"
LATENCY = 70.0


def lane(name: str, rate_limit: int = 10, **fields: Any) -> dict[str, Any]:
    return {"name": name, "project": name, "model": BEST, "rate_limit": rate_limit, "rate_period": 60, **fields}


def made(*answers: Verdict, **script: Any) -> ScriptedBackend:
    """A service that makes a film each time, after its `answers`."""
    return ScriptedBackend(answers, **{"latency": LATENCY, "ending": lambda _: Finished((Video(data=FILM),)), **script})


class Places(dict[str, ScriptedBackend]):
    """The service behind each project, and behind each key by the name of its wire."""

    async def connect(self, name: str, settings: Settings) -> ScriptedBackend:
        return self.setdefault(settings.project or name, made())

    def client(self, *lanes: dict[str, Any], **values: object) -> VeoClient:
        common = settings(**{"poll_interval": 1.0, **values})
        return VeoClient(common, lanes=lanes or None, connect=self.connect, rng=NoJitter(), now_utc=now_utc)
