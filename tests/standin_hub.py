"""A small server that stands in for the model hub, with what it was asked."""

from __future__ import annotations

import hashlib
import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

COMMIT = "c" * 40


@dataclass
class Hub:
    """One file for every repository; or a refusal; or a line that breaks or crawls."""

    content: bytes = b""
    status: int = 200
    etag: str | None = None
    breaks_after: int | None = None  # bytes of the body, then the connection is closed
    pause: float = 0.0  # seconds after each kilobyte
    announced: int | None = None  # bytes, if not the true number
    redirect: str | None = None  # where the file lies, if not here
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def ranges(self) -> list[str]:
        """The ranges of files that were asked for; the hub's client also asks its interface, once a process."""
        return [
            headers.get("range", "")
            for method, path, headers in self.asked
            if method == "GET" and not path.startswith("/api/")
        ]


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            hub.asked.append((self.command, self.path, headers))
            etag = hub.etag or hashlib.sha256(hub.content).hexdigest()
            if hub.redirect and hub.status == 200:
                self.send_response(302)
                self.send_header("Location", hub.redirect + self.path)
                self.send_header("X-Linked-Size", str(len(hub.content)))
                self.send_header("X-Linked-Etag", f'"{etag}"')
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start = int(headers["range"].removeprefix("bytes=").rstrip("-")) if "range" in headers else 0
            content = hub.content[start:] if hub.status == 200 else b""
            self.send_response(206 if start and hub.status == 200 else hub.status)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{etag}"')
            length = len(content) if body or hub.announced is None else hub.announced
            self.send_header("Content-Length", str(length))
            self.end_headers()
            if body:
                self.send(content)

        def send(self, content: bytes) -> None:
            end = len(content) if hub.breaks_after is None else hub.breaks_after
            for at in range(0, min(end, len(content)), 1024):
                try:
                    self.wfile.write(content[at : min(at + 1024, end)])
                except OSError:
                    return
                time.sleep(hub.pause)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
