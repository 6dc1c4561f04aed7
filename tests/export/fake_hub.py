"""A Hub on this machine: the few requests that making a repository and uploading to it take, with what was sent kept for a look."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hub-token-of-the-test"


class FakeHub:
    """`repositories`: name to files; `requests`: method, path and token of each; `failing`: path part to a status to answer with."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.branches: list[str] = []
        self.blobs: dict[str, bytes] = {}
        self.requests: list[tuple[str, str, str | None]] = []
        self.failing: dict[str, int] = {}
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: Any) -> None:
                pass

            def _body(self) -> bytes:
                if self.headers.get("Transfer-Encoding") == "chunked":
                    parts = []
                    while size := int(self.rfile.readline().strip() or b"0", 16):
                        parts.append(self.rfile.read(size))
                        self.rfile.readline()
                    self.rfile.readline()
                    return b"".join(parts)
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))

            def _answer(self, status: int, value: Any = None, **headers: str) -> None:
                data = json.dumps({} if value is None else value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                for name, one in headers.items():
                    self.send_header(name.replace("_", "-"), one)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            def _handle(self) -> None:
                body = self._body()
                path = self.path.split("?")[0]
                token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
                hub.requests.append((self.command, path, token))
                for part, status in hub.failing.items():
                    if part in path:
                        return self._answer(status, {"error": "as asked"})
                return self._route(path, body)

            do_GET = do_HEAD = do_POST = do_PUT = _handle  # noqa: N815

            def _route(self, path: str, body: bytes) -> None:
                parts = path.strip("/").split("/")
                if path == "/api/repos/create":
                    asked = json.loads(body)
                    name = f"{asked.get('organization') or 'me'}/{asked['name']}"
                    if name in hub.repositories:
                        return self._answer(409, {"error": "there", "url": f"{hub.address}/{name}"})
                    hub.repositories[name] = {}
                    hub.private[name] = bool(asked.get("private") or asked.get("visibility") == "private")
                    return self._answer(200, {"url": f"{hub.address}/{name}", "id": name})
                if path == "/api/whoami-v2":
                    return self._answer(200, {"name": "me", "type": "user"})
                if path == "/api/validate-yaml":
                    return self._answer(200, {"errors": [], "warnings": []})
                if path.startswith("/blob/"):
                    hub.blobs[parts[1]] = body
                    return self._answer(200)
                if path.endswith(".git/info/lfs/objects/batch"):
                    asked = json.loads(body)["objects"]
                    upload = [{"upload": {"href": f"{hub.address}/blob/{one['oid']}", "header": {}}} for one in asked]
                    objects = [{**one, "actions": actions} for one, actions in zip(asked, upload, strict=True)]
                    return self._answer(200, {"transfer": "basic", "objects": objects})
                name = "/".join(parts[2:4])
                if parts[:2] == ["api", "models"] and name in hub.repositories:
                    return self._model(name, parts[4:], body)
                return self._answer(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")

            def _model(self, name: str, rest: list[str], body: bytes) -> None:
                files = hub.repositories[name]
                if not rest or rest[0] == "revision":
                    if rest and rest[1] not in ("main", *hub.branches):
                        return self._answer(404, {"error": "no such revision"}, X_Error_Code="RevisionNotFound")
                    return self._answer(
                        200, {"id": name, "sha": "a" * 40, "private": hub.private.get(name, False), "siblings": [{"rfilename": one} for one in files]}
                    )
                if rest[0] == "branch":
                    hub.branches.append(rest[1])
                    return self._answer(200)
                if rest[0] == "preupload":
                    names = [one["path"] for one in json.loads(body)["files"]]
                    large = {name: name.endswith((".safetensors", ".bin")) for name in names}
                    modes = [{"path": name, "uploadMode": "lfs" if large[name] else "regular", "shouldIgnore": False} for name in names]
                    return self._answer(200, {"files": modes})
                if rest[0] == "commit":
                    for line in body.decode().splitlines():
                        one = json.loads(line)
                        if one["key"] == "file":
                            files[one["value"]["path"]] = base64.b64decode(one["value"]["content"])
                        elif one["key"] == "lfsFile":
                            files[one["value"]["path"]] = hub.blobs[one["value"]["oid"]]
                    return self._answer(200, {"success": True, "commitOid": "b" * 40, "commitUrl": f"{hub.address}/{name}/commit/{'b' * 40}"})
                return self._answer(404)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()
