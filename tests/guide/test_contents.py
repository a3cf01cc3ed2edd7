"""The guides describe the program as it is: generated lists and tables, every public name, every field."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import aveo3
import aveo3.mock
import aveo3.testing
from aveo3 import (
    ClipStatus,
    Estimate,
    JobHistory,
    JobRecord,
    JournalStatus,
    LaneSettings,
    Stats,
    VideoClip,
    VideoPrompt,
)
from aveo3.cli.exit_codes import Exit
from aveo3.config import catalog
from aveo3.config.catalog import ModelCard
from aveo3.config.settings import describe
from aveo3.journal.review import Amount, Money
from aveo3.journal.rows import Event
from aveo3.mock import FAULTS
from aveo3.verdicts import Refusal
from tests.support.guide import CAN, DRAWN, GUIDES, IN_WORDS, NOT_AN_ABILITY, PAGES, ROOT, blocks, place, written

TEXTS = {page: path.read_text("utf-8") for page, path in PAGES.items()}


def section(guide: str, title: str) -> str:
    """What stands below a heading of a guide, up to the next one of its rank or above."""
    text = TEXTS[guide].partition(f"\n{title}\n")[2]
    return re.split(rf"(?m)^#{{1,{title.count('#')}}} ", text)[0]


@pytest.mark.parametrize("guide", GUIDES)
def test_what_is_drawn_from_the_program_is_up_to_date(guide: str) -> None:
    assert written(guide, TEXTS[guide]) == TEXTS[guide], "run: python -m tests.support.guide"


def test_every_drawn_place_is_in_its_guide_and_says_something() -> None:
    assert [name for name, (guide, _) in DRAWN.items() if len(place(TEXTS[guide], name)) < 100] == []


def test_a_place_that_is_out_of_date_is_noticed() -> None:
    spoilt = TEXTS["settings"].replace("`VEO3_BUDGET`", "`VEO3_BUDGETS`")
    assert written("settings", spoilt) == TEXTS["settings"] != spoilt


def test_every_setting_stands_in_the_list_once() -> None:
    listed = place(TEXTS["settings"], "settings")
    named = [name for row in describe() for name in row.name.split(" or ")]
    assert [name for name in named if listed.count(f"`{name}`") != 1] == []


def test_the_table_of_abilities_leaves_nothing_out_that_a_card_says() -> None:
    assert set(CAN) == set(ModelCard.model_fields) - NOT_AN_ABILITY - IN_WORDS


def test_every_variable_that_is_named_exists() -> None:
    known = {name for row in describe() for name in row.name.split(" or ")}
    named = {
        (page, name)
        for page, text in TEXTS.items()
        for name in re.findall(r"\b(?:VEO3|GOOGLE|GEMINI)_[A-Z_0-9]*[A-Z0-9]\b", text)
    }
    assert sorted((page, name) for page, name in named if name not in known) == []


def test_every_public_name_has_a_description() -> None:
    rows = re.findall(r"(?m)^\| `(\w+)` \| `[\w.]+` \| (.*) \|$", TEXTS["python-api"])
    described = {name for name, what in rows if what}
    names = {*aveo3.__all__, *aveo3.mock.__all__, *aveo3.testing.__all__}
    assert sorted(names ^ described) == []


def test_every_field_of_a_prompt_is_explained() -> None:
    told = section("prompt-files", "## Fields")
    assert [name for name in VideoPrompt.model_fields if f"`{name}`" not in told] == []


@pytest.mark.parametrize(
    ("kind", "title"),
    [
        (VideoClip, "### VideoClip"),
        (Stats, "### Stats"),
        (Estimate, "### Estimate"),
        (JournalStatus, "### JournalStatus"),
        (Money, "### JournalStatus"),
        (Amount, "### JournalStatus"),
        (JobHistory, "### JobHistory and JobRecord"),
        (Event, "### JobHistory and JobRecord"),
        (JobRecord, "### JobHistory and JobRecord"),
    ],
)
def test_every_field_of_a_result_is_explained(kind: Any, title: str) -> None:
    fields = getattr(kind, "model_fields", ()) or getattr(kind, "_fields", ())
    fields = [*fields] or [field.name for field in dataclasses.fields(kind)]
    properties = [name for name, value in vars(kind).items() if isinstance(value, property)]
    told = section("python-api", title)
    assert [name for name in (*fields, *properties) if f"`{name}`" not in told and not name.startswith("_")] == []


def test_every_method_of_a_client_is_explained() -> None:
    told = section("python-api", "### VeoClient")
    public = [name for name, value in vars(aveo3.VeoClient).items() if callable(value) and not name.startswith("_")]
    assert [name for name in public if f"veo.{name}(" not in told] == []


def test_every_field_of_a_lane_is_named() -> None:
    told = section("lanes", "## Fields of a lane")
    assert [name for name in LaneSettings.model_fields if f"`{name}`" not in told] == []


def test_the_file_of_lanes_is_one() -> None:
    [text] = [block.text for block in blocks(TEXTS["lanes"]) if block.comment == "lanes"]
    found = [LaneSettings.model_validate(table) for table in tomllib.loads(text)["lane"]]
    assert [lane.order for lane in found] == [1, 1, 2]


def test_the_file_that_changes_the_catalog_is_one(tmp_path: Path) -> None:
    corrected, added = [block.text for block in blocks(TEXTS["models"]) if block.language == "toml"]
    (tmp_path / "corrected.toml").write_text(corrected, "utf-8")
    assert catalog.load(tmp_path / "corrected.toml").requests_per_minute("veo-3.1-generate-001") == 20
    (tmp_path / "added.toml").write_text(added, "utf-8")
    assert catalog.load(tmp_path / "added.toml").has_price("veo-3.2-generate-001")


def test_every_status_exit_code_and_kind_of_refusal_is_explained() -> None:
    text = TEXTS["troubleshooting"]
    assert [status for status in ClipStatus if f"- `{status}`: " not in text] == []
    assert [code for code in Exit if not re.search(rf"\b{code:d}\s+\(", text)] == []
    assert [kind for kind in Refusal if f"`{kind}`" not in section("troubleshooting", "## By cause")] == []


def test_the_messages_of_aveo3_are_those_that_it_has() -> None:
    source = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "aveo3").rglob("*.py")))
    told = re.findall(r"\*([^*]+)\*", section("troubleshooting", "### From aveo3"))
    pieces = [" ".join(piece.split()) for message in told for piece in message.split("…")]
    assert len(pieces) > 8
    assert [piece for piece in pieces if piece not in source] == []


def test_every_status_has_its_advice_in_the_api() -> None:
    assert [status for status in ClipStatus if f"`{status}`" not in section("python-api", "### ClipStatus")] == []


@pytest.mark.parametrize("page", ["mock-server", "changelog", "README"])
def test_the_number_of_faults_is_the_one_that_is_told(page: str) -> None:
    assert re.search(rf"\b{len(FAULTS)}\s+faults", TEXTS[page])


def test_the_architecture_names_every_package() -> None:
    inside = (ROOT / "aveo3").iterdir()
    names = {path.stem for path in inside if path.suffix == ".py" or (path / "__init__.py").is_file()}
    told = section("architecture", "## The packages")
    assert sorted(name for name in names if f"`{name}`" not in told and not name.startswith("_")) == []
