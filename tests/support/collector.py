"""A collector of OTLP over HTTP on this machine: keeps what it gets, or stays silent."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """What was exported to `url`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.spans: list[Span] = []
        self.metrics: set[str] = set()
        self.resources: list[dict[str, str]] = []
        self.calls = 0


@contextmanager
def collecting(*, silent: bool = False) -> Iterator[Collector]:
    """A collector that runs in the block. A `silent` one takes requests and never answers."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.calls += 1
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if silent:
                over.wait()
                return
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path == "/v1/traces":
                for traces in ExportTraceServiceRequest.FromString(body).resource_spans:
                    collector.resources.append(attributes(traces.resource.attributes))
                    collector.spans += [span for scope in traces.scope_spans for span in scope.spans]
            elif self.path == "/v1/metrics":
                for metrics in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                    collector.metrics |= {each.name for scope in metrics.scope_metrics for each in scope.metrics}
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def attributes(values: Iterable[KeyValue]) -> dict[str, str]:
    """Attributes as text."""
    found = {}
    for each in values:
        kind = each.value.WhichOneof("value")
        found[each.key] = str(getattr(each.value, kind)) if kind else ""
    return found
