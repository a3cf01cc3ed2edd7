"""Webhooks: Google's deliveries trigger a poll, others are rejected, and neither changes a job."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from aveo3 import UsageError, VeoClient
from aveo3.backends.webhooks import BODY_LIMIT, KEYS_PATH, REMEMBERED, Receiver, Untrusted, check, read_keys
from tests.support.emulated import assert_on_disk, emulator
from tests.support.emulated_omni import quick
from tests.support.ports import free_port
from tests.support.settings import settings

NOW = 1_795_000_000.0
GOOGLES, ANOTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
ENDED = json.dumps({"type": "interaction.completed", "version": "v1", "data": {"id": "v1_abc"}}).encode()

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")


def signed(
    body: bytes = ENDED, *, number: str = "msg_1", at: float = NOW, key: Ed25519PrivateKey = GOOGLES
) -> dict[str, str]:
    """The headers of a delivery."""
    signature = base64.b64encode(key.sign(f"{number}.{at:.0f}.".encode() + body)).decode()
    return {"webhook-id": number, "webhook-timestamp": f"{at:.0f}", "webhook-signature": f"v1a,{signature}"}


def public(*keys: Ed25519PrivateKey) -> dict[str, Any]:
    """The keys as they are published."""
    return {
        "keys": [
            {"kty": "OKP", "crv": "Ed25519", "x": base64.urlsafe_b64encode(raw).rstrip(b"=").decode()}
            for raw in (key.public_key().public_bytes_raw() for key in keys)
        ]
    }


# ---- whose it is -----------------------------------------------------------------------------------------------------

KEYS = [ANOTHER.public_key(), GOOGLES.public_key()]


def test_what_one_of_the_published_keys_has_signed_is_googles() -> None:
    assert check(signed(), ENDED, KEYS, NOW) == "msg_1"


def test_of_several_signatures_one_is_enough() -> None:
    headers = signed()
    headers["webhook-signature"] = f"v1,{'A' * 44} v1a,AAAA {headers['webhook-signature']}"
    assert check(headers, ENDED, KEYS, NOW) == "msg_1"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"webhook-signature": ""}, "is missing"),
        ({"webhook-id": ""}, "is missing"),
        ({"webhook-timestamp": ""}, "is missing"),
        ({"webhook-id": "msg_2"}, "it is not signed with a published key"),
        ({"webhook-timestamp": f"{NOW + 1:.0f}"}, "it is not signed with a published key"),
        ({"webhook-timestamp": "yesterday"}, "check this machine's clock"),
        ({"webhook-timestamp": "9" * 5_000}, "check this machine's clock"),
        ({"webhook-timestamp": "²"}, "check this machine's clock"),
        ({"webhook-signature": "v1a,"}, "it is not signed with a published key"),
        ({"webhook-signature": "v1a,?"}, "it is not signed with a published key"),
        ({"webhook-signature": "v1a,ä"}, "it is not signed with a published key"),
        ({"webhook-signature": f"v1,{'A' * 44}"}, "no signature of the scheme v1a"),
        ({"webhook-signature": "eyJhbGciOiJSUzI1NiJ9.e30.AAAA"}, "no signature of the scheme v1a"),
    ],
)
def test_what_is_not_signed_by_google_is_not_googles(change: dict[str, str], why: str) -> None:
    with pytest.raises(Untrusted, match=why):
        check({**signed(), **change}, ENDED, KEYS, NOW)


def test_another_body_another_key_and_no_keys_are_not_googles_either() -> None:
    for headers, body, keys in [
        (signed(), ENDED + b" ", KEYS),
        (signed(key=Ed25519PrivateKey.generate()), ENDED, KEYS),
        (signed(), ENDED, []),
    ]:
        with pytest.raises(Untrusted, match="not signed with a published key"):
            check(headers, body, keys, NOW)


@pytest.mark.parametrize("late", [-301, 301])
def test_a_delivery_of_more_than_five_minutes_is_no_longer_taken(late: float) -> None:
    assert check(signed(), ENDED, KEYS, NOW + late * 0.99) == "msg_1"
    with pytest.raises(Untrusted, match="more than 300 s from now"):
        check(signed(), ENDED, KEYS, NOW + late)


@pytest.mark.parametrize(
    "body", [None, [], {}, {"keys": 7}, {"keys": [7, {}, {"crv": "Ed25519"}, {"crv": "Ed25519", "x": "AAAA"}]}]
)
def test_a_key_set_without_keys_has_none(body: Any) -> None:
    assert read_keys(body) == []


def test_of_a_key_set_the_ed25519_keys_are_read() -> None:
    body = public(GOOGLES, ANOTHER)
    body["keys"].append({"kty": "RSA", "n": "AQAB", "e": "AQAB"})
    assert [key.public_bytes_raw() for key in read_keys(body)] == [
        key.public_key().public_bytes_raw() for key in (GOOGLES, ANOTHER)
    ]
    assert all(isinstance(key, Ed25519PublicKey) for key in read_keys(body))


# ---- the receiver ----------------------------------------------------------------------------------------------------


class Hook:
    """A receiver, its published keys, and the operations that it woke."""

    def __init__(self, receiver: Receiver, http: aiohttp.ClientSession, woken: list[str], fetches: list[int]) -> None:
        self.receiver, self.http, self.woken, self.fetches = receiver, http, woken, fetches

    async def deliver(self, body: bytes = ENDED, headers: dict[str, str] | None = None, path: str = "/hook") -> int:
        url = f"http://127.0.0.1:{self.receiver.port}{path}"
        async with self.http.post(url, data=body, headers=signed(body) if headers is None else headers) as answer:
            return answer.status


@asynccontextmanager
async def hooked(*published: Any) -> AsyncIterator[Hook]:
    """Each fetch of the keys gets the next of `published`; the last one repeats. A number is a status."""
    fetches: list[int] = []

    async def keys(request: web.Request) -> web.Response:
        assert not request.headers.get("x-goog-api-key")
        fetches.append(len(fetches))
        answer = published[min(len(fetches), len(published)) - 1]
        return web.Response(status=answer) if isinstance(answer, int) else web.json_response(answer)

    app = web.Application()
    app.router.add_get(KEYS_PATH, keys)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    google = f"http://127.0.0.1:{runner.addresses[0][1]}"
    woken: list[str] = []
    try:
        async with (
            aiohttp.ClientSession() as http,
            Receiver(
                "https://hooks.example.net/hook",
                "127.0.0.1:0",
                google=google,
                session=http,
                wake=woken.append,
                now_utc=lambda: datetime.fromtimestamp(NOW, UTC),
            ) as receiver,
        ):
            yield Hook(receiver, http, woken, fetches)
    finally:
        await runner.cleanup()


async def test_a_delivery_triggers_one_poll() -> None:
    async with hooked(public(ANOTHER, GOOGLES)) as hook:
        assert [await hook.deliver() for _ in range(3)] == [204, 204, 204]
        assert hook.woken == ["v1_abc"]
        assert hook.fetches == [0]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"type": "interaction.completed"}',
        b'{"type": "interaction.completed", "data": {"id": 7}}',
        b'{"type": "video.generated", "data": {"id": "a"}}',
        b'{"type": 7, "data": {"id": "a"}}',
    ],
)
async def test_a_signed_delivery_of_another_kind_is_accepted_and_triggers_no_poll(body: bytes) -> None:
    async with hooked(public(GOOGLES)) as hook:
        assert await hook.deliver(body) == 204
        assert hook.woken == []


async def test_what_is_not_googles_is_turned_away_and_does_not_have_the_keys_fetched_again_and_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with hooked(public(GOOGLES)) as hook:
        forged = signed(key=ANOTHER)
        assert [await hook.deliver(headers=forged) for _ in range(5)] == [401] * 5
        assert [await hook.deliver(headers={}) for _ in range(5)] == [401] * 5
        assert hook.woken == []
        assert hook.fetches == [0]
    assert "a webhook delivery is rejected: it is not signed with a published key" in caplog.text


async def test_elsewhere_too_long_or_by_another_method_it_is_not_heard() -> None:
    async with hooked(public(GOOGLES)) as hook:
        assert await hook.deliver(path="/") == 404
        assert await hook.deliver(b" " * (BODY_LIMIT + 1)) == 413
        async with hook.http.get(f"http://127.0.0.1:{hook.receiver.port}/hook") as answer:
            assert answer.status == 405
        assert (hook.woken, hook.fetches) == ([], [])


async def test_when_google_changes_its_keys_they_are_fetched_again() -> None:
    async with hooked(public(ANOTHER), public(GOOGLES)) as hook:
        assert await hook.deliver() == 401
        assert hook.receiver._fetched_at is not None
        hook.receiver._fetched_at -= 61  # a minute later
        assert await hook.deliver() == 204
        assert (hook.woken, hook.fetches) == (["v1_abc"], [0, 1])


@pytest.mark.parametrize("problem", [500, 302, {"keys": []}, [1]])
async def test_if_the_keys_cannot_be_had_those_that_were_stay(problem: Any) -> None:
    async with hooked(public(GOOGLES), problem) as hook:
        assert await hook.deliver() == 204
        assert hook.receiver._fetched_at is not None
        hook.receiver._fetched_at -= 3_601
        assert await hook.deliver(headers=signed(number="msg_2")) == 204
        assert hook.fetches == [0, 1]


async def test_only_so_many_deliveries_are_remembered() -> None:
    async with hooked(public(GOOGLES)) as hook:
        hook.receiver._deliveries = dict.fromkeys(map(str, range(REMEMBERED)))
        assert await hook.deliver() == 204
        assert len(hook.receiver._deliveries) == REMEMBERED


async def test_a_port_that_is_taken_says_what_to_change() -> None:
    async with hooked(public(GOOGLES)) as hook:
        taken = f"127.0.0.1:{hook.receiver.port}"
        veo = VeoClient(
            settings(
                mock_mode=True, model="gemini-omni-1.1-flash", webhook="http://127.0.0.1/hook", webhook_listen=taken
            )
        )
        with pytest.raises(UsageError, match=f"^VEO3_WEBHOOK_LISTEN={taken} cannot be used: .*Name another port"):
            await veo.__aenter__()


# ---- from the submit to the clip -------------------------------------------------------------------------------------


async def test_a_clip_whose_end_is_delivered_is_fetched_at_once(tmp_path: Path) -> None:
    """Polls come every minute: only the webhook explains a clip within seconds."""
    port = free_port()
    async with emulator(latency="0.2") as server, asyncio.timeout(30):
        chosen = quick(
            server,
            tmp_path,
            webhook=f"http://127.0.0.1:{port}/hook",
            webhook_listen=f"127.0.0.1:{port}",
            poll_interval=60.0,
        )
        async with VeoClient(chosen) as veo:
            clips = await veo.generate_many(["one", "two", "three"])
        assert_on_disk(clips)
        assert server.books.polls == 3


async def test_on_vertex_there_are_no_webhooks() -> None:
    veo = VeoClient(settings(backend="vertex", project="p", webhook="https://hooks.example.net"))
    with pytest.raises(UsageError, match=r"^VEO3_WEBHOOK=https://hooks\.example\.net: only the Gemini API"):
        await veo.__aenter__()
