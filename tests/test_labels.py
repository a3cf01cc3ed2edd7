"""Labels for Google's bill: what is taken, how people write them, and which of them one request carries."""

from __future__ import annotations

from typing import Any

import pytest

from aveo3 import VeoClient, labels
from tests.support.raw_server import rpc, serving
from tests.support.settings import settings


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("team=film, customer=acme", {"team": "film", "customer": "acme"}),
        ('{"team": "film"}', {"team": "film"}),
        ("team", {"team": ""}),
        ("", {}),
        ({"équipe": "映画-7_b"}, {"équipe": "映画-7_b"}),
        ({"a" * 63: "1" * 63}, {"a" * 63: "1" * 63}),
        (7, 7),  # the field's own type refuses it
    ],
)
def test_labels_are_read_as_people_write_them(written: Any, read: Any) -> None:
    assert labels.read(written) == read


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("Team=film", "label name 'Team' must begin with a small letter"),
        ("7=film", "label name '7' must begin"),
        ("_a=film", "label name '_a' must begin"),
        ("=film", "label name '' must begin"),
        ("team=Film", "label team='Film': a value holds only small letters"),
        ("team=a b", "label team='a b': a value holds"),
        ({"team": "a" * 64}, "a value holds only small letters, digits, _ and -, at most 63 of them"),
        ({"a" * 64: ""}, "must begin with a small letter and hold only"),
        ({"team": 7}, "label 'team'=7: name and value must be texts"),
        ("team=a,team=b", "label team is there twice"),
        ('{"team"', "labels look like team=film,customer=acme"),
        ({f"a{n}": "" for n in range(65)}, "65 labels: Google takes at most 64"),
    ],
)
def test_labels_that_google_would_refuse_are_refused_here(written: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match="label") as raised:
        labels.read(written)
    assert sentence in str(raised.value)


async def sent(prompt: dict[str, Any], **chosen: Any) -> tuple[str | None, Any]:
    """The clip's message, and the labels of the request; None if nothing was sent."""
    async with serving(rpc(400, "INVALID_ARGUMENT", "written down")) as wire:
        own = settings(base_url=wire.url, backend="vertex", api_key="AIzaSy-secret-key", **chosen)
        async with VeoClient(own) as client:
            [clip] = await client.generate_many([{"text": "a boat", **prompt}])
        return clip.error_message, [request.json.get("labels") for request in wire.requests]


async def test_the_prompts_labels_win_over_those_of_the_settings() -> None:
    common = {"team": "film", "stage": "test"}
    _, seen = await sent({"labels": {"stage": "final"}}, labels=common)
    assert seen == [{"team": "film", "stage": "final"}]


async def test_a_prompts_project_becomes_a_label_if_a_setting_says_so() -> None:
    assert (await sent({"project_id": "acme"}))[1] == [None]
    assert (await sent({"project_id": "acme"}, project_label="customer"))[1] == [{"customer": "acme"}]
    assert (await sent({}, project_label="customer"))[1] == [None]


async def test_a_project_that_cannot_be_a_label_is_not_sent() -> None:
    message, seen = await sent({"project_id": "Acme Ltd"}, project_label="customer")
    assert seen == []
    assert message == (
        "project_id cannot be a label: label customer='Acme Ltd': a value holds only small letters, digits, _ and -, "
        "at most 63 of them"
    )


async def test_too_many_labels_together_are_not_sent() -> None:
    common = {f"a{n}": "" for n in range(40)}
    message, seen = await sent({"labels": {f"b{n}": "" for n in range(40)}}, labels=common)
    assert (message, seen) == ("80 labels, with those of the settings: Google takes at most 64", [])


async def test_a_lane_adds_its_own_labels() -> None:
    async with serving(rpc(400, "INVALID_ARGUMENT", "written down")) as wire:
        own = settings(base_url=wire.url, backend="vertex", project="p", labels={"team": "film", "lane": "none"})
        lanes = [{"name": "b", "labels": {"lane": "b"}}]
        async with VeoClient(own, lanes=lanes) as client:
            await client.generate_many(["a boat"])
    assert [request.json["labels"] for request in wire.requests] == [{"team": "film", "lane": "b"}]


async def test_the_same_prompt_with_another_label_is_the_same_clip() -> None:
    async with VeoClient(settings(journal="auto", mock_mode=True)) as client:
        [first] = await client.generate_many([{"text": "a boat", "labels": {"customer": "acme"}}])
        [again] = await client.generate_many([{"text": "a boat", "labels": {"customer": "other"}}])
    assert (first.cached, again.cached, again.job) == (False, True, first.job)
