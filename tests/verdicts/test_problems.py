"""Every problem is explained in sentences that help, on every backend."""

from __future__ import annotations

import re

import pytest

from aveo3.verdicts import brief
from aveo3.verdicts.problems import REMEDIES, CheckTarget, Problem, explain
from tests.support.denials import EXPRESS, GEMINI, VERTEX, denied


def test_the_advice_for_a_gemini_key_does_not_mention_express_mode() -> None:
    assert explain(Problem.NO_MODEL, GEMINI).what.endswith("for the API key's project in the Gemini API")
    assert explain(Problem.NO_MODEL, EXPRESS).what.endswith("for the API key's project in express mode")


@pytest.mark.parametrize("problem", Problem)
@pytest.mark.parametrize("target", [VERTEX, EXPRESS, GEMINI], ids=["vertex", "express", "gemini"])
def test_every_problem_has_a_row_with_whole_sentences(problem: Problem, target: CheckTarget) -> None:
    finding = explain(problem, target, said="the words")
    assert (finding.problem, finding.step, finding.said) == (problem, REMEDIES[problem].step, "the words")
    assert finding.way_out.endswith((".", "model-garden"))
    assert not finding.what.endswith(".")
    assert not re.search(r"[{}]|None|  ", finding.what + finding.way_out)


@pytest.mark.parametrize(
    "link", ["https://evil.example/login", "https://console.evil/\x1b[2J", "https://console.evil/ a"]
)
def test_a_link_outside_googles_console_is_not_passed_on(link: str) -> None:
    _, body = denied("no", "SERVICE_DISABLED", activationUrl=link)
    assert "evil" not in explain(Problem.API_DISABLED, VERTEX, body).way_out


@pytest.mark.parametrize("problem", Problem)
@pytest.mark.parametrize("backend", ["vertex", "gemini", "mock"])
def test_no_sentence_says_one_thing_twice(problem: Problem, backend: str) -> None:
    what = explain(problem, CheckTarget(backend, "veo", "http://127.0.0.1:1")).what
    assert "APIs other than the API" not in what
    assert "may not use this API: it is restricted" in what or problem is not Problem.KEY_ELSEWHERE or backend != "mock"
    assert not re.search(r"\b(\w+) \1\b", what)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a b", "a b"),
        ("a\n  b", "a b"),
        ("one two three", "one two …"),
        ("x" * 30, "x" * 10 + " …"),
        (ValueError("why"), "why"),
    ],
)
def test_a_long_message_is_cut_between_words_and_shows_it(text: object, shown: str) -> None:
    assert brief(text, 12) == shown
