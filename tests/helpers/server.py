"""A web server on 127.0.0.1 that serves a folder and can misbehave, file by file."""

import gzip
import hashlib
import sys
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Self


@dataclass
class Conduct:
    """How the server treats one file. Lists hold one item per GET, the first for the next one; None is good conduct."""

    drops: list[int | None] = field(default_factory=list)  # close the connection after so many bytes of the body
    stalls: list[bool | None] = field(default_factory=list)  # send no body before the whole file is asked for again
    statuses: list[int | None] = field(default_factory=list)  # answer this, without a body
    headers: dict[str, str] = field(default_factory=dict)  # more headers, on every answer
    etags: list[str | None] = field(default_factory=list)  # the file's ETag from now on; None is the true one
    etag: bool = True  # send an ETag at all
    modified: str | None = None  # Last-Modified, which If-Range may name too
    breaks: int | None = None  # close the connection after so many bytes of every body
    total: bool = True  # name the size of the whole file in Content-Range
    truncated: int | None = None  # always end after so many bytes of the file, though the head promises all
    corrupt: bool = False  # always flip a bit in the middle of the file
    ranges: bool = True  # answer Range at all
    if_range: bool = True  # heed If-Range
    head: bool = True  # answer HEAD
    length: bool = True  # send Content-Length
    compress: bool = False  # gzip the body for whoever accepts that


class Server:
    """`with Server(folder) as server`: the files of `folder` stand at `server.url/NAME`.

    `server.conduct(NAME)` is to be changed at will; `server.log` holds (method, name, Range header, status,
    bytes of the body sent).
    """

    def __init__(self, folder: Path):
        self.folder, self.log = folder, []
        self._conducts: dict[str, Conduct] = {}
        self.stalled: list[Event] = []
        self._http = _Http(("127.0.0.1", 0), _Handler)
        self._http.owner = self
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def conduct(self, name: str) -> Conduct:
        return self._conducts.setdefault(name, Conduct())

    def sent(self, name: str) -> list[int]:
        """Bytes of the body of each answer to a GET of this file."""
        return [size for method, asked, _, _, size in self.log if (method, asked) == ("GET", name)]

    def release(self) -> None:
        """Let the answers go on that stall."""
        while self.stalled:
            self.stalled.pop().set()

    def __enter__(self) -> Self:
        self._thread = Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.release()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()  # waits for the threads of all answers


class _Http(ThreadingHTTPServer):
    daemon_threads = False

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):  # a client that hangs up is part of the tests
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    timeout = 10

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        owner: Server = self.server.owner
        name = self.path.lstrip("/")
        conduct, wanted = owner.conduct(name), self.headers.get("Range")
        entry = [self.command, name, wanted, 0, 0]
        owner.log.append(entry)
        if body and wanted is None:
            owner.release()
        status = conduct.statuses.pop(0) if body and conduct.statuses else None
        path = owner.folder / name
        if status is None and not path.is_file():
            status = 404
        if not body and not conduct.head:
            status = 405
        if status is not None:
            entry[3] = status
            self._head(status, {"Content-Length": "0", **conduct.headers})
            return
        content = path.read_bytes()
        etag = f'"{hashlib.md5(content).hexdigest()}"'
        if conduct.etags:
            etag = (conduct.etags.pop(0) if body and len(conduct.etags) > 1 else conduct.etags[0]) or etag
        if conduct.corrupt:
            middle = len(content) // 2
            content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        start, status, headers = 0, 200, {"Accept-Ranges": "bytes"} if conduct.ranges else {}
        headers |= {"ETag": etag} if conduct.etag else {}
        headers |= {"Last-Modified": conduct.modified} if conduct.modified else {}
        if conduct.compress and "gzip" in self.headers.get("Accept-Encoding", ""):
            content, headers["Content-Encoding"] = gzip.compress(content), "gzip"
        condition = self.headers.get("If-Range")
        if condition is not None and condition.startswith("W/"):  # RFC 9110, section 13.1.5
            raise AssertionError("a weak ETag in If-Range")
        same = not conduct.if_range or condition in (None, etag, conduct.modified)
        if wanted and conduct.ranges and same:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, stop, size = int(first), int(last or len(content) - 1) + 1, len(content)
            if start >= size:
                entry[3] = 416
                self._head(416, {"Content-Range": f"bytes */{size}", "Content-Length": "0"})
                return
            status, headers["Content-Range"] = 206, f"bytes {start}-{stop - 1}/{size if conduct.total else '*'}"
            content = content[:stop]
        promised = len(content) - start
        if conduct.length:
            headers["Content-Length"] = str(promised)
        end = len(content)
        if conduct.truncated is not None:
            end = max(start, min(end, conduct.truncated))
        if body and (drop := conduct.drops.pop(0) if conduct.drops else None) is not None:
            end = min(end, start + drop)
        if body and conduct.breaks is not None:
            end = min(end, start + conduct.breaks)
        stalled = Event() if body and conduct.stalls and conduct.stalls.pop(0) else None
        if stalled:
            owner.stalled.append(stalled)  # before the head, after which the client may ask again
        entry[3:] = status, end - start if body else 0  # before the head, after which the client may look
        self._head(status, {**headers, **conduct.headers})
        if body:
            if stalled:
                stalled.wait(60)  # or a client without patience would wait for ever
            self.wfile.write(content[start:end])

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
