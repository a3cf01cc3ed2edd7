"""Quotas of the Interactions API: their refusals, at once or late, and what they count."""

from __future__ import annotations

from tests.support.interactions import MODEL, PATH, talking


async def test_a_refusal_names_delay_and_limit_only_in_its_message() -> None:
    async with talking(rpm=1, speed=1) as talk:
        await talk.create()
        status, body, headers = await talk.create()
        assert (status, set(body["error"]), "Retry-After" in headers) == (429, {"code", "message"}, False)
        assert body["error"]["code"] == "rate_limit_exceeded"
        metric = "generativelanguage.googleapis.com/generate_content_paid_tier_2_requests, limit: 1"
        assert f"Quota exceeded for metric: {metric}, model: {MODEL}\nPlease retry in " in body["error"]["message"]
        talk.server.change(retry_after=True, retry_info=False)
        status, body, headers = await talk.create()
        assert (status, 50 < int(headers["Retry-After"]) <= 60) == (429, True)
        assert "retry" not in body["error"]["message"]
        talk.server.change(rpm=None, rpd=0)
        assert (await talk.create()).body["error"]["code"] == "quota_exceeded"
        assert (talk.server.books.accepted, talk.server.books.refused) == (1, 3)


async def test_a_late_refusal_counts_at_once_and_comes_with_the_poll() -> None:
    async with talking(rpm=1, refuse_late=True, retry_after=True) as talk:
        await talk.create()
        late = await talk.create(input="another boat")
        assert (late.status, late.body["status"]) == (200, "in_progress")
        for _ in range(2):
            response = await talk.get(late.body["id"])
            assert (response.status, response.body["error"]["code"]) == (429, "too_many_requests")
            assert "Please retry in " in response.body["error"]["message"]
            assert "Retry-After" not in response.headers
        books = talk.server.books
        assert (books.refused_by_rule, books.accepted_by_prompt) == ({"minute": 1}, {"a boat": 1})
        assert (await talk.create(background=None)).status == 429  # a client does not poll it


async def test_slots_come_back_when_an_interaction_ends_and_spend_is_by_the_second() -> None:
    async with talking(concurrency=1, latency="1000", speed=1) as talk:
        name = (await talk.create()).body["id"]
        assert (await talk.create()).body["error"]["code"] == "too_many_requests"
        await talk.ask("POST", f"{PATH}/{name}/cancel")
        assert (await talk.create()).status == 200
    async with talking(spend=10, speed=1) as talk:  # Google's first tier: twelve clips of eight seconds
        assert [(await talk.create()).status for _ in range(13)] == [200] * 12 + [429]
