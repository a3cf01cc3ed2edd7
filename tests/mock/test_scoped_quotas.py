"""Quotas for some projects, keys and models: their format, what they match, and the books."""

import pytest
from pydantic import ValidationError

from aveo3.mock import MockOptions, Quota
from aveo3.mock.config.validation import complaint
from aveo3.mock.quota_rules import QuotaLane
from aveo3.mock.quotas import Quotas

FULL, FAST = "veo-3.1-generate-001", "veo-3.1-fast-generate-001"
ALPHA, BETA = QuotaLane("alpha", "us-central1", FULL), QuotaLane("beta", "us-central1", FULL)
ALPHA_FAST = QuotaLane("alpha", "us-central1", FAST)
KEY = QuotaLane("alpha", "global", FULL, secret=True)  # a key with the same text as a project


def limits(lane: QuotaLane, *quotas: str, **general: object) -> dict[str, float | None]:
    rules = Quotas(MockOptions.model_validate({"quotas": quotas, **general}).rules())
    return {rule.kind: rule.limit for rule in rules.rules_of(lane)}


@pytest.mark.parametrize(
    ("quotas", "expected"),
    [
        ([], (10, 10, 10, 10)),
        (["project=alpha,rpm=2"], (2, 10, 2, 10)),
        (["key=alpha,rpm=2"], (10, 10, 10, 2)),
        (["key=*,rpm=2"], (10, 10, 10, 2)),
        (["model=veo-3.1-fast-*,rpm=2"], (10, 10, 2, 10)),
        (["project=alpha,model=veo-3.1-fast-*,rpm=2"], (10, 10, 2, 10)),
        (["project=*a,rpm=2", "project=alpha,rpm=3"], (3, 2, 3, 10)),
        (["project=alpha,rpm=3", "project=*,rpm=2"], (2, 2, 2, 10)),
        (["project=alpha,rpm=none", "model=veo-3.1-fast-*,rpm=0"], (None, 10, 0, 10)),
        (["location=us-*,rpm=2", "location=europe-*,rpm=3"], (2, 2, 2, 10)),
    ],
)
def test_the_last_matching_quota_applies(quotas: list[str], expected: tuple[float | None, ...]) -> None:
    assert tuple(limits(lane, *quotas).get("minute") for lane in (ALPHA, BETA, ALPHA_FAST, KEY)) == expected


def test_limits_that_a_quota_does_not_name_stay_general() -> None:
    assert limits(ALPHA, "project=alpha,spend=50", rpd=7) == {"minute": 10, "day": 7, "spend": 50}
    assert limits(ALPHA, "project=alpha,rpd=none,concurrency=1", rpd=7) == {"minute": 10, "concurrent": 1}


def test_a_quota_may_be_a_text_or_a_table() -> None:
    table = {"project": "alpha", "model": "veo-3.1-fast-*", "rpm": 2, "spend": "none"}
    assert Quota.parse("project=alpha, model=veo-3.1-fast-*, rpm=2, spend=none") == Quota.parse(table)
    assert MockOptions.model_validate({"quotas": [table]}).quotas == (Quota.parse(table),)


def test_a_quota_does_not_show_its_key() -> None:
    assert "geheim" not in repr(MockOptions.model_validate({"quotas": ["key=geheim,rpm=1"]}))
    assert "geheim" not in repr(MockOptions.model_validate({"quotas": ["key=geheim,rpm=1"]}).rules())


SHAPE = (
    "Write it as project=alpha,model=veo-3.1-fast-*,rpm=2: any of project, key, location and model (* matches anything)"
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", f"a quota has no ''. {SHAPE}"),
        ("team=a,rpm=1", f"a quota has no 'team'. {SHAPE}"),
        ("project=a", f"a quota needs a limit. {SHAPE}"),
        ("rpm", f"a quota's rpm needs a value. {SHAPE}"),
        ("rpm=", f"a quota's rpm needs a value. {SHAPE}"),
        ("rpm=1,rpm=2", f"a quota names rpm more than once. {SHAPE}"),
        ("rpm=x", f"rpm: it takes a whole number, at least 0, or none; not 'x'. {SHAPE}"),
        ("spend=-1", f"spend: it takes a number, at least 0, or none; not '-1'. {SHAPE}"),
        ("project=a,key=b,rpm=1", "a request has a project or a key, so a quota takes only one of them."),
        ("model=veo-9,rpm=1", "model 'veo-9' matches no model. Known: veo-3.1-fast-generate-001, "),
    ],
)
def test_an_invalid_quota_is_an_error_that_shows_the_allowed_form(text: str, sentence: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011  the whole sentence is compared below
        Quota.parse(text)
    assert str(error.value).startswith(sentence)
    with pytest.raises(ValidationError) as invalid:
        MockOptions.model_validate({"quotas": [text]})
    assert complaint(invalid.value, MockOptions) == ("quotas", str(error.value))


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("rpm", "ten", "it takes a whole number, at least 0, or none; not 'ten'."),
        ("speed", 0, "it takes a number, more than 0; not 0."),
        ("ranges", "perhaps", "it takes true or false; not 'perhaps'."),
        ("counting", "abacus", "it takes one of fixed, sliding, bucket; not 'abacus'."),
        ("faults", "503", "'503' is not a list; write faults = [\"503:0.05\"]."),
        ("quotas", {"rpm": 3}, "{'rpm': 3} is not a list; write quotas = [\"project=alpha,rpm=2\"]."),
        (
            "latency",
            True,
            "latency 'True' is not a distribution of durations. Write seconds (2), a range (30-90), or lognormal:",
        ),
        ("retired", [1], "1: Input should be a valid string."),
    ],
)
def test_an_invalid_option_is_an_error_that_shows_the_allowed_values(field: str, value: object, sentence: str) -> None:
    with pytest.raises(ValidationError) as error:
        MockOptions.model_validate({field: value})
    name, message = complaint(error.value, MockOptions)
    assert (name, message.startswith(sentence)) == (field, True), message


def test_the_error_of_a_misspelt_option_suggests_the_nearest() -> None:
    with pytest.raises(ValidationError) as error:
        MockOptions.model_validate({"rmp": 3})
    assert complaint(error.value, MockOptions)[1].startswith("there is no option 'rmp'. Did you mean rpm? Known: rpm, ")


def test_latency_may_be_a_number_and_a_limit_the_word_none() -> None:
    options = MockOptions.model_validate({"latency": 70, "rpm": "none"})
    assert (str(options.latency), options.rpm) == ("70", None)
