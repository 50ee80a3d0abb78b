"""How does a running campaign answer Prometheus?  GET /metrics, and nothing else."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.registry import Collector

from jobs.runtime.controller import Snapshot
from jobs.runtime.events import Event
from jobs.runtime.fleets_now import told_now
from jobs.runtime.folders import RunFolder
from jobs.runtime.live import JsonView, View
from jobs.runtime.metrics import CampaignCollector, StageNow, stages_of
from jobs.runtime.worker_metrics import worker_metrics
from jobs.spec.errors import ConfigError

Respond = Callable[..., Any]


class Exporter:
    """Serves from a thread until it is closed.  Raises ConfigError where it cannot listen."""

    def __init__(self, collectors: Iterable[Collector], *, host: str, port: int) -> None:
        registry = CollectorRegistry()
        for collector in collectors:
            registry.register(collector)
        try:
            self._server = _server(host, port, _only_metrics(make_wsgi_app(registry)))
        except OSError as error:
            raise ConfigError(
                f"metrics cannot be served at {host}:{port}: {error.strerror or error}.",
                fix="choose another --metrics-port (0 finds a free one) or --metrics-host.",
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="metrics", daemon=True
        )
        self._thread.start()
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._server.server_port}/metrics"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextlib.contextmanager
def exporting(
    folder: RunFolder, *, host: str, port: int | None, say: Callable[[str], None]
) -> Iterator[Callable[[View], View]]:
    """Serve the metrics of a campaign meanwhile, unless there is no port; `say` is told where.

    Gives what its view has to go through."""
    if port is None:
        yield lambda view: view
        return
    watched = Watched()
    with worker_metrics(folder.metrics) as workers:
        campaign = CampaignCollector(
            told=lambda: told_now(folder.told), stages=lambda: watched.stages
        )
        exporter = Exporter([campaign, workers], host=host, port=port)
        say(f"metrics: {exporter.url}")
        try:
            yield watched.around
        finally:
            exporter.close()


class Watched:
    """A view, and what the last snapshot that it was shown says of the stages."""

    def __init__(self) -> None:
        self.stages: tuple[StageNow, ...] = ()
        self._inner: View = JsonView(lambda line: None)

    def around(self, inner: View) -> View:
        self._inner = inner
        return self

    def show(self, snapshot: Snapshot) -> None:
        self.stages = stages_of(snapshot)
        self._inner.show(snapshot)

    def event(self, event: Event) -> None:
        self._inner.event(event)

    def close(self) -> None:
        self._inner.close()


def _only_metrics(app: Respond) -> Respond:
    def respond(environ: dict[str, Any], start_response: Respond) -> Any:
        if environ["REQUEST_METHOD"] == "GET" and environ["PATH_INFO"] == "/metrics":
            return app(environ, start_response)
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"only GET /metrics\n"]

    return respond


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False

    def server_bind(self) -> None:
        """Without asking a resolver for the own name, which may take long."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "localhost", self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves or says nothing is not worth a line; a bug of ours is."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(WSGIRequestHandler):
    timeout = 10.0
    """Of a client that says nothing."""

    def log_message(self, format: str, *args: Any) -> None:
        """Whoever asks is not worth a line among the campaign's."""


def _server(host: str, port: int, app: Respond) -> WSGIServer:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    kind = type("_Server", (_Server,), {"address_family": family})
    return make_server(host, port, app, kind, _Handler)
