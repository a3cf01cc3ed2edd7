"""Every trouble there is makes sentences that help, whoever is asked."""

from __future__ import annotations

import re

import pytest

from aveo3.verdicts.problems import REMEDIES, Asked, Problem, explain
from tests.verdicts.test_diagnosis import EXPRESS, GEMINI, VERTEX, denied


def test_a_key_of_the_gemini_api_is_not_told_of_express_mode() -> None:
    assert explain(Problem.NO_MODEL, GEMINI).what.endswith("for the API key's project in the Gemini API")
    assert explain(Problem.NO_MODEL, EXPRESS).what.endswith("for the API key's project in express mode")


@pytest.mark.parametrize("problem", Problem)
@pytest.mark.parametrize("asked", [VERTEX, EXPRESS, GEMINI], ids=["vertex", "express", "gemini"])
def test_every_trouble_has_a_row_that_makes_sentences(problem: Problem, asked: Asked) -> None:
    finding = explain(problem, asked, said="the words")
    assert (finding.problem, finding.step, finding.said) == (problem, REMEDIES[problem].step, "the words")
    assert finding.way_out.endswith((".", "model-garden"))
    assert not finding.what.endswith(".")
    assert not re.search(r"[{}]|None|  ", finding.what + finding.way_out)


def test_a_link_that_is_not_the_consoles_is_not_passed_on() -> None:
    _, body = denied("no", "SERVICE_DISABLED", activationUrl="https://evil.example/login")
    assert "evil" not in explain(Problem.API_DISABLED, VERTEX, body).way_out
