"""Checks, which create nothing: GETs of models, and polls of operations that never existed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.veo_wire import DEVELOPER, EXPRESS, KEY, TOKEN, VERTEX, talking

NOBODYS = "00000000-0000-4000-8000-000000000000"


def polled(base: str) -> tuple[str, dict[str, str]]:
    """Return the poll path and the name of an operation that never existed."""
    return f"{base}:fetchPredictOperation", {"operationName": f"{base.split('/', 2)[2]}/operations/{NOBODYS}"}


@pytest.mark.parametrize("version", ["v1", "v1beta", "v1beta1"])
@pytest.mark.parametrize(
    ("model", "method"),
    [("veo-3.1-generate-preview", "predictLongRunning"), ("gemini-omni-1.1-flash", "createInteraction")],
)
async def test_the_developer_api_describes_a_model(version: str, model: str, method: str) -> None:
    async with talking() as wire:
        status, body = await wire.ask("GET", f"/{version}/models/{model}", headers=KEY)
        assert (status, body["name"], body["supportedGenerationMethods"]) == (200, f"models/{model}", [method])
        assert (wire.server.books.submits, wire.server.books.accepted) == (0, 0)


async def test_an_unknown_model_is_a_404_and_a_missing_key_a_403() -> None:
    async with talking(retired=["gemini-omni-1.2-flash"]) as wire:
        status, body = await wire.ask("GET", "/v1/models/veo-9", headers=KEY)
        assert (status, body["error"]["message"]) == (404, "Model is not found: models/veo-9 for api version v1")
        assert (await wire.ask("GET", "/v1/models/veo-3.1-generate-001", headers=KEY))[0] == 404  # it is on Vertex AI
        status, body = await wire.ask("GET", "/v1/models/gemini-omni-1.2-flash", headers=KEY)
        assert (status, "is no longer available" in body["error"]["message"]) == (404, True)
        assert (await wire.ask("GET", "/v1/models/gemini-omni-1.1-flash"))[0] == 403


@pytest.mark.parametrize(("base", "headers"), [(VERTEX, TOKEN), (EXPRESS, KEY)], ids=["project", "express"])
async def test_an_unknown_operation_has_its_own_404(base: str, headers: dict[str, str]) -> None:
    async with talking() as wire:
        path, body = polled(base)
        status, answer = await wire.ask("POST", path, body, headers)
        assert (status, answer["error"]["message"]) == (404, f"Operation {body['operationName']} was not found.")
        path, body = polled(base.replace("veo-3.1-generate-001", "veo-9"))
        status, answer = await wire.ask("POST", path, body, headers)
        assert (status, answer["error"]["message"].startswith("Publisher Model `")) == (404, True)
        assert (wire.server.books.polls, wire.server.books.submits) == (1, 0)


async def test_an_operation_stays_known_after_its_model_is_retired() -> None:
    async with talking(latency="0") as wire:
        _, accepted = await wire.submit(VERTEX, TOKEN)
        wire.server.change(retired=("veo-3.1-generate-001",))
        body = {"operationName": accepted["name"]}
        status, done = await wire.ask("POST", f"{VERTEX}:fetchPredictOperation", body, TOKEN)
        assert (status, done["done"]) == (200, True)


FAULTS: dict[str, tuple[int, str]] = {
    "bad-key": (400, "API_KEY_INVALID"),
    "key-blocked": (403, "API_KEY_SERVICE_BLOCKED"),
    "api-disabled": (403, "SERVICE_DISABLED"),
    "no-billing": (403, "BILLING_DISABLED"),
    "permission": (403, "does not have permission"),
    "country": (400, "FAILED_PRECONDITION"),
    "billing": (402, "prepayment credits"),
    "no-access": (429, "limit: 0"),
    "503": (503, "UNAVAILABLE"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_faults_of_submits_strike_checks_too(fault: str) -> None:
    async with talking(faults=[fault]) as wire:
        path, body = polled(VERTEX)
        answers: list[Any] = [
            await wire.ask("POST", path, body, TOKEN),
            await wire.ask("GET", DEVELOPER, headers=KEY),
        ]
        for status, answer in answers:
            assert (status, FAULTS[fault][1] in str(answer)) == (FAULTS[fault][0], True)
        assert wire.server.books.faults == {fault: 2}
        assert (wire.server.books.submits, wire.server.books.accepted) == (0, 0)


async def test_faults_of_submits_do_not_strike_polls_of_known_operations() -> None:
    async with talking(latency="0", faults=["bad-key@2"]) as wire:
        _, accepted = await wire.submit(VERTEX, TOKEN)
        body = {"operationName": accepted["name"]}
        assert (await wire.ask("POST", f"{VERTEX}:fetchPredictOperation", body, TOKEN))[0] == 200
        assert wire.server.books.faults == {}
