"""OHIF and a PACS's DICOMweb under one origin: files of the viewer, its configuration, and a proxy to /dicom-web."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.system.orthanc import Orthanc

_DICOMWEB = "/dicom-web"
# What the proxy hands on to the PACS, and back.
_ASKED = ("Accept", "Content-Type")
_ANSWERED = ("Content-Type",)


def _configuration() -> str:
    source = {
        "friendlyName": "PACS of the system tests",
        "qidoRoot": _DICOMWEB,
        "wadoRoot": _DICOMWEB,
        "qidoSupportsIncludeField": False,
        "imageRendering": "wadors",
        "thumbnailRendering": "wadors",
        "enableStudyLazyLoad": True,
        "supportsFuzzyMatching": False,
        "supportsWildcard": True,
        "omitQuotationForMultipartRequest": True,
        "bulkDataURI": {"enabled": True},
    }
    viewer = {
        "routerBasename": "/",
        "extensions": [],
        "modes": [],
        "showStudyList": True,
        "maxNumberOfWebWorkers": 2,
        "showWarningMessageForCrossOrigin": False,
        "showCPUFallbackMessage": False,
        "showLoadingIndicator": True,
        "investigationalUseDialog": {"option": "never"},
        # Otherwise a person is asked whether the segmentation shall be opened.
        "disableConfirmationPrompts": True,
        "defaultDataSourceName": "dicomweb",
        "dataSources": [
            {
                "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
                "sourceName": "dicomweb",
                "configuration": source,
            }
        ],
    }
    return f"window.config = {json.dumps(viewer)};\n"


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    extensions_map = {  # noqa: RUF012
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".wasm": "application/wasm",
    }

    def __init__(self, *arguments: object, pacs: Orthanc, directory: str) -> None:
        self._pacs = pacs
        super().__init__(*arguments, directory=directory)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith(_DICOMWEB):
            self._enqueue()
        elif path == "/app-config.js":
            self._answer(200, {"Content-Type": "text/javascript"}, _configuration().encode())
        else:
            if not Path(self.translate_path(path)).is_file():
                self.path = "/index.html"  # the viewer's own routes
            super().do_GET()

    def _enqueue(self) -> None:
        headers = {name: self.headers[name] for name in _ASKED if name in self.headers}
        # Orthanc writes its own address into the answers, as links to bulk data.
        headers["Forwarded"] = f"host={self.headers['Host']};proto=http"
        authorization = self._pacs.authorization()
        if authorization:
            headers["Authorization"] = authorization
        try:
            with urlopen(Request(self._pacs.url + self.path, headers=headers), timeout=60) as answer:
                self._answer(answer.status, dict(answer.headers.items()), answer.read())
        except HTTPError as refused:
            self._answer(refused.code, dict(refused.headers.items()), refused.read())

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name in _ANSWERED:
            if name in headers:
                self.send_header(name, headers[name])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing: the browser logs failures."""


@contextmanager
def viewer_over(pacs: Orthanc, viewer: Path) -> Iterator[str]:
    """Serve the viewer in a folder over a PACS; gives the address."""
    handler = partial(_Handler, pacs=pacs, directory=str(viewer))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
