"""The command line exports what OTEL_* variables ask for; no collector delays or breaks a run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import aveo3
from aveo3.telemetry import export, switch
from tests.support.collector import attributes, collecting
from tests.support.terminal import run

GENERATE = ("generate", "--mock", "--prompt", "a paper boat", "--output-dir", "clips")


@pytest.fixture(autouse=True)
def no_otel(monkeypatch: pytest.MonkeyPatch, time_jumps: None) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


def test_a_run_exports_its_spans_and_metrics_to_the_collector_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        code, _, said = run(*GENERATE)
    assert code == 0
    assert "OpenTelemetry" not in said
    [span] = collector.spans
    told = attributes(span.attributes)
    assert told["aveo3.status"] == "succeeded"
    assert {"aveo3.clips", "gen_ai.client.operation.duration", "aveo3.queue.wait"} <= collector.metrics
    assert collector.resources[0]["service.name"] == "aveo3"
    assert switch._ours is None
    assert not switch.is_set_up()  # a later client of this process is not concerned


def test_the_name_of_the_service_and_the_signals_are_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{collector.url}/v1/traces")
        monkeypatch.setenv("OTEL_SERVICE_NAME", "film-desk")
        assert run(*GENERATE)[0] == 0
    assert len(collector.spans) == 1
    assert collector.metrics == set()
    assert collector.resources[0]["service.name"] == "film-desk"


@pytest.mark.parametrize("variable", ["VEO3_OTEL=false", "OTEL_SDK_DISABLED=true", "OTEL_TRACES_EXPORTER=none"])
def test_it_can_be_turned_off_though_an_address_is_set(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    name, _, value = variable.partition("=")
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{collector.url}/v1/traces")
        monkeypatch.setenv(name, value)
        assert run(*GENERATE)[0] == 0
    assert collector.calls == 0


def test_a_collector_that_never_answers_costs_a_run_nothing_but_a_moment_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(export, "LAST_EXPORT", 0.3)
    assert run(*GENERATE)[0] == 0  # imports
    with collecting(silent=True) as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        began = time.monotonic()
        code, _, said = run("generate", "--mock", "--prompt", "a tree", "--output-dir", "clips")
        took = time.monotonic() - began
    assert code == 0
    assert collector.calls > 0
    assert "was not taken within 0.3 s, and is lost" in said
    assert took < 8.0  # its own time-out is 10 s


def test_a_collector_that_is_not_there_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "LAST_EXPORT", 2.0)
    with collecting() as gone:
        pass
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", gone.url.replace("://", "://me:s3cr3t@") + "?key=s3cr3t")
    code, _, said = run(*GENERATE)
    assert code == 0
    assert said.count("OpenTelemetry:") <= 1
    assert "aveo3" in said
    assert "s3cr3t" not in said


def test_what_is_missing_is_said_and_ends_only_a_run_that_asked_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    code, _, said = run(*GENERATE)
    assert code == 0
    assert "no package has an exporter of traces that is called otlp_proto_grpc" in " ".join(said.split())
    monkeypatch.setenv("VEO3_OTEL", "true")
    code, _, said = run("generate", "--mock", "--prompt", "a tree", "--output-dir", "clips")
    assert code == 2
    assert "pip install opentelemetry-sdk" in " ".join(said.split())


def test_without_the_api_only_a_run_that_wants_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "aveo3.telemetry.client_telemetry", raising=False)
    monkeypatch.delitem(sys.modules, "aveo3.telemetry.spans", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    assert run(*GENERATE)[0] == 0
    monkeypatch.setenv("VEO3_OTEL", "true")
    code, _, said = run("generate", "--mock", "--prompt", "a tree", "--output-dir", "clips")
    assert code == 2
    assert "VEO3_OTEL=true" in said


@pytest.mark.whole
def test_it_runs_under_opentelemetry_instrument(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as collector:
        environment = {
            **os.environ,
            "PYTHONPATH": str(Path(aveo3.__file__).parents[1]),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_METRICS_EXPORTER": "otlp",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_SERVICE_NAME": "studio",
        }
        program = Path(sys.executable).parent / "opentelemetry-instrument"
        command = [str(program), sys.executable, "-m", "aveo3", *GENERATE]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [attributes(span.attributes)["aveo3.status"] for span in collector.spans] == ["succeeded"]
    assert "aveo3.clips" in collector.metrics
    assert collector.resources[0]["service.name"] == "studio"
