"""A DICOMweb server in this process: as much of QIDO-RS and WADO-RS as the service asks for."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydicom import Dataset

from tests.builders.segmentations import as_bytes


class FakeWeb:
    """Serve the datasets in ``stored``; ``broken`` is the status of its error responses."""

    def __init__(self) -> None:
        self.stored: list[Dataset] = []
        self.broken = 0
        self.broken_after = -1
        self.retrieved: list[str] = []
        self.files: dict[str, bytes] = {}  # what it sends for an instance instead of it
        self.asked: list[dict[str, list[str]]] = []
        self.max_instances = 0  # that it lists, whatever the offset; 0 for all, in pages
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, kind, body = fake.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/dicom-web"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, target: str) -> tuple[int, str, bytes]:
        """Answer one request."""
        parts, query = urlsplit(target).path.split("/")[2:], parse_qs(urlsplit(target).query)
        if self.broken:
            return self.broken, "text/plain", b"SECRET^Surname"
        if parts == ["series"]:
            self.asked.append(query)
            return self._json([self._series_row(uid) for uid in self._series_uids()], query)
        _, study, _, series, _, *instance = parts
        members = [d for d in self.stored if (d.StudyInstanceUID, d.SeriesInstanceUID) == (study, series)]
        if not instance:
            rows = [self._row(SOPInstanceUID=d.SOPInstanceUID) for d in members]
            if self.max_instances:
                return 200, "application/dicom+json", json.dumps(rows[: self.max_instances]).encode()
            return self._json(rows, query)
        if len(self.retrieved) == self.broken_after:
            return 500, "text/plain", b""
        self.retrieved.append(instance[0])
        file = next(as_bytes(d) for d in members if instance[0] == d.SOPInstanceUID)
        file = self.files.get(instance[0], file)
        body = b"--xyz\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n--xyz--"
        return 200, 'multipart/related; type="application/dicom"; boundary=xyz', body

    def _series_uids(self) -> list[str]:
        return list(dict.fromkeys(d.SeriesInstanceUID for d in self.stored if d.Modality == "CT"))

    def _series_row(self, uid: str) -> dict[str, Any]:
        members = [d for d in self.stored if uid == d.SeriesInstanceUID]
        return self._row(
            StudyInstanceUID=members[0].StudyInstanceUID,
            SeriesInstanceUID=uid,
            NumberOfSeriesRelatedInstances=len(members),
        )

    @staticmethod
    def _row(**values: Any) -> dict[str, Any]:
        dataset = Dataset()
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
        row: dict[str, Any] = dataset.to_json_dict()
        return row

    @staticmethod
    def _json(rows: list[dict[str, Any]], query: dict[str, list[str]]) -> tuple[int, str, bytes]:
        """Two rows per page, as a server with a limit."""
        offset = int(query.get("offset", ["0"])[0])
        return 200, "application/dicom+json", json.dumps(rows[offset : offset + 2]).encode()
