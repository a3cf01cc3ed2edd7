"""The guide knows every field that google-genai can send for a video: a new release of it is noticed here."""

from __future__ import annotations

import re
from importlib.metadata import version

import pytest

from aveo3 import Settings, VideoPrompt
from tests.support import sdk_fields
from tests.support.sdk_fields import OMNI, PROMPT, SETTING, VEO, Table

TABLES = {"veo": (VEO, sdk_fields.fields_for_veo()), "omni": (OMNI, sdk_fields.fields_for_omni())}
LATEST = tuple(map(int, version("google-genai").split(".")[:2])) >= (3, 4)


@pytest.mark.parametrize("wire", TABLES)
def test_no_field_of_the_sdk_is_unknown(wire: str) -> None:
    table, fields = TABLES[wire]
    assert sorted(fields - set(table)) == [], "decide what aveo3 makes of it, and say so in tests/support/sdk_fields.py"


@pytest.mark.skipif(not LATEST, reason="an older google-genai may lack fields")
@pytest.mark.parametrize("wire", TABLES)
def test_no_field_is_named_that_the_sdk_no_longer_has(wire: str) -> None:
    table, fields = TABLES[wire]
    assert sorted(set(table) - fields) == []


@pytest.mark.parametrize("table", [VEO, OMNI], ids=["veo", "omni"])
def test_what_decides_is_there(table: Table) -> None:
    for name, (who, what) in table.items():
        named = re.findall(r"`(\w+)`", what)
        if who == PROMPT:
            assert named, name
            assert [field for field in named if field.islower() and field != "type"], name
            assert {field for field in named if field.islower() and field != "type"} <= set(VideoPrompt.model_fields), (
                name
            )
        if who == SETTING:
            assert {field.removeprefix("VEO3_").lower() for field in named} <= set(Settings.model_fields), name


def test_every_field_of_a_prompt_that_is_sent_is_in_a_table() -> None:
    own = {"id", "project_id", "metadata"}
    told = {field for table in (VEO, OMNI) for _, what in table.values() for field in re.findall(r"`(\w+)`", what)}
    assert set(VideoPrompt.model_fields) - own - told == set()
