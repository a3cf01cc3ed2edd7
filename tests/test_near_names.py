"""A field that a class does not have: the error names the one that was meant, in every public class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

import aveo3
import aveo3.mock
from aveo3 import LaneSettings, Media, ReferenceImage, Settings, UntrustedPrompt, UsageError, VeoClient, VideoPrompt
from aveo3.mock import Fault, Latency, MockOptions, Quota, QuotaRule

OUR_ERROR = (LaneSettings, Settings)


def lane(**values: Any) -> LaneSettings:
    return LaneSettings(**values)


def classes() -> list[type[BaseModel]]:
    """Every public class that refuses fields that it does not have."""
    found = [getattr(room, name) for room in (aveo3, aveo3.mock) for name in room.__all__]
    return [each for each in found if isinstance(each, type) and issubclass(each, BaseModel) and _is_strict(each)]


def _is_strict(model: type[BaseModel]) -> bool:
    return model.model_config.get("extra") == "forbid"


@pytest.mark.parametrize("model", classes())
def test_every_public_class_names_the_field_that_was_meant(model: type[BaseModel]) -> None:
    field = list(model.model_fields)[-1]
    error = UsageError if issubclass(model, OUR_ERROR) else ValidationError
    with pytest.raises(error) as refused:
        model(**{f"{field}x": 1})
    assert f"id you mean {field}?" in str(refused.value)


def test_these_are_the_public_classes_that_refuse_fields() -> None:
    of_ours = {LaneSettings, Media, ReferenceImage, Settings, UntrustedPrompt, VideoPrompt}
    assert {*classes()} == of_ours | {Fault, Latency, MockOptions, Quota, QuotaRule}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: lane(projct="a"), "projct is not a field of a lane: did you mean project?"),
        (lambda: lane(zzz="a"), "zzz is not a field of a lane: the fields are name, backend, project"),
        (
            lambda: LaneSettings(rate_limit=0),
            "rate_limit=0 is refused: must be greater than or equal to 1; allowed: a whole number, at least 1",
        ),
        (lambda: lane(api_key="secret"), "api_key: keys do not belong here; put the key in a variable"),
        (
            lambda: LaneSettings(api_key_env="K", credentials_file="f"),
            "api_key_env and credentials_file cannot go together: give one or the other",
        ),
        (
            lambda: VeoClient(lanes=[{"projct": "a"}]),
            "lanes, lane 1: projct is not a field of a lane: did you mean",
        ),
    ],
)
def test_a_lane_made_in_code_says_what_is_wrong_in_our_own_words(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        make()
    assert str(refused.value).startswith(said)
    assert "secret" not in str(refused.value)


def test_the_other_mistakes_of_a_prompt_stay_as_pydantic_tells_them() -> None:
    fields = {"prompt": "a {boat}", "seed": -1, "image": {"pth": "a.png"}, "video": {}}
    with pytest.raises(ValidationError) as refused:
        VideoPrompt.model_validate(fields)
    assert [(problem["type"], problem["loc"]) for problem in refused.value.errors()] == [
        ("greater_than_equal", ("seed",)),
        ("extra_forbidden", ("image", "pth")),
        ("value_error", ("video",)),
        ("extra_forbidden", ("prompt",)),
    ]
    said = str(refused.value)
    assert "did you mean text?" in said
    assert "did you mean path?" in said
    assert "give exactly one of path, data, uri" in said
    assert aveo3.models.explain(refused.value)[1] == "image.pth: there is no such field: did you mean path?"
