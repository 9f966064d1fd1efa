"""A hub of model repositories on this machine: the few addresses that huggingface_hub asks for one commit."""

import hashlib
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


class HubServer:
    """Repositories as `{(name, commit): {path: bytes}}`; starts with the `with` block and ends with it."""

    def __init__(self, repositories: Mapping[tuple[str, str], Mapping[str, bytes]]) -> None:
        self.repositories = repositories
        self.asked: list[str] = []
        """Paths of the files that were sent."""
        self.lies_about: set[str] = set()
        """Files whose sha256 is told wrongly."""

    def __enter__(self) -> "HubServer":
        """Listen on a free port."""
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub._answer(self, has_body=True)

            def do_HEAD(self) -> None:
                hub._answer(self, has_body=False)

            def log_message(self, *_: Any) -> None:
                """Be quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler, *, has_body: bool) -> None:
        path = unquote(urlsplit(request.path).path)
        for (name, commit), files in self.repositories.items():
            if path == f"/api/models/{name}/revision/{commit}":
                return self._send(request, json.dumps(self._info(name, commit, files)).encode(), has_body=has_body)
            if path == f"/api/models/{name}/tree/{commit}":
                entries = [self._entry(file, data) for file, data in files.items()]
                return self._send(request, json.dumps(entries).encode(), has_body=has_body)
            prefix = f"/{name}/resolve/{commit}/"
            if path.startswith(prefix) and (file := path.removeprefix(prefix)) in files:
                if has_body:
                    self.asked.append(file)
                headers = {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha256(files[file]).hexdigest()}"'}
                return self._send(request, files[file], has_body=has_body, headers=headers)
        request.send_response(404)
        request.send_header("X-Error-Code", "RevisionNotFound")
        request.send_header("Content-Length", "0")
        request.end_headers()
        return None

    def _info(self, name: str, commit: str, files: Mapping[str, bytes]) -> dict[str, Any]:
        siblings = [{"rfilename": file, **self._facts(file, data)} for file, data in files.items()]
        return {"id": name, "modelId": name, "sha": commit, "siblings": siblings, "tags": [], "private": False}

    def _entry(self, file: str, data: bytes) -> dict[str, Any]:
        return {"type": "file", "path": file, "oid": hashlib.sha1(data).hexdigest(), **self._facts(file, data)}  # noqa: S324

    def _facts(self, file: str, data: bytes) -> dict[str, Any]:
        facts: dict[str, Any] = {"size": len(data), "blobId": hashlib.sha1(data).hexdigest()}  # noqa: S324
        if file.endswith(".safetensors"):
            digest = "0" * 64 if file in self.lies_about else hashlib.sha256(data).hexdigest()
            facts["lfs"] = {"sha256": digest, "oid": digest, "size": len(data), "pointerSize": 130}
        return facts

    def _send(
        self, request: BaseHTTPRequestHandler, data: bytes, *, has_body: bool, headers: Mapping[str, str] | None = None
    ) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            request.send_header(name, value)
        request.end_headers()
        if has_body:
            request.wfile.write(data)
