"""A PACS for the tests: Debian's Orthanc with its DICOMweb plugin, on loopback ports, with a storage of its own.

It can be stopped, killed and started again on the same storage and ports.
"""

from __future__ import annotations

import base64
import json
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from tests.system.tools import free_port, needed, needed_file, waited

_PROGRAM = Path("/usr/sbin/Orthanc")
_DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
# A start on a storage whose last user was killed fails while the lock of its database lives on.
_STARTS = 5


@dataclass
class Orthanc:
    """One Orthanc; nothing runs until `start`.

    Parameters
    ----------
    folder : Path
        Configuration, storage and log.
    ae_title : str
        The title that it is called by, and checks.
    user, password : str, optional
        What HTTP asks for; no authentication where the user is left out.
    modalities : dict
        AE titles that may store and be sent to, with their ports on the loopback interface.
    """

    folder: Path
    ae_title: str = "PACS"
    user: str | None = None
    password: str = ""
    modalities: dict[str, int] = field(default_factory=dict)
    http_port: int = field(default_factory=free_port)
    dicom_port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Of Orthanc's own REST interface."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def dicomweb_url(self) -> str:
        """Of QIDO-RS, WADO-RS and STOW-RS."""
        return f"{self.url}/dicom-web"

    @property
    def log(self) -> Path:
        """Everything that Orthanc said, over all its starts."""
        return self.folder / "orthanc.log"

    def start(self) -> None:
        """Start, and return when it answers."""
        program, plugin = needed("Orthanc", _PROGRAM), needed_file(_DICOMWEB, "Orthanc's DICOMweb plugin")
        configuration = self.folder / "orthanc.json"
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration.write_text(json.dumps(self._configuration(plugin), indent=1), encoding="utf-8")
        for _ in range(_STARTS):
            with self.log.open("ab") as log:
                self._process = subprocess.Popen([program, str(configuration)], stdout=log, stderr=subprocess.STDOUT)
            if waited("Orthanc's start", lambda: "up" if self.answers() else self._ended()) == "up":
                return
            time.sleep(1.0)
        raise AssertionError(f"Orthanc does not start; the end of its log: {self.log.read_text()[-1000:]}")

    def stop(self) -> None:
        """End it in good order."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None

    def answers(self) -> bool:
        """Whether its REST interface answers."""
        try:
            self.get("/system")
        except (URLError, OSError):
            return False
        return True

    def get(self, path: str) -> Any:
        """The JSON answer of the REST interface to GET."""
        return json.loads(self._ask(path))

    def delete(self, path: str) -> None:
        """Remove what a path of the REST interface names."""
        self._ask(path, method="DELETE")

    def instances(self) -> list[str]:
        """Orthanc's own identifiers of all instances stored."""
        return list(self.get("/instances"))

    def file(self, instance: str) -> bytes:
        """The DICOM file of an instance as it was stored."""
        return self._ask(f"/instances/{instance}/file")

    def empty(self) -> None:
        """Remove every patient."""
        for patient in self.get("/patients"):
            self.delete(f"/patients/{patient}")

    def authorization(self) -> str | None:
        """The value of the HTTP header Authorization, where one is asked for."""
        if self.user is None:
            return None
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode("ascii")

    def _ended(self) -> str | None:
        assert self._process is not None
        return "ended" if self._process.poll() is not None else None

    def _ask(self, path: str, method: str = "GET") -> bytes:
        authorization = self.authorization()
        headers = {"Authorization": authorization} if authorization else {}
        with urlopen(Request(self.url + path, headers=headers, method=method), timeout=30) as answer:
            return bytes(answer.read())

    def _configuration(self, plugin: Path) -> dict[str, object]:
        storage = str(self.folder / "storage")
        return {
            "Name": "cspine system test",
            "StorageDirectory": storage,
            "IndexDirectory": storage,
            "Plugins": [str(plugin)],
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": self.user is not None,
            "RegisteredUsers": {self.user: self.password} if self.user else {},
            "DicomAet": self.ae_title,
            "DicomPort": self.dicom_port,
            "DicomCheckCalledAet": True,
            # RemoteAccessAllowed guards HTTP only: on the DICOM port, these and the hosts below do.
            "DicomAlwaysAllowEcho": False,
            "DicomAlwaysAllowStore": False,
            "DicomCheckModalityHost": True,
            "DicomModalities": {title: [title, "127.0.0.1", port] for title, port in self.modalities.items()},
            # Debian's version does not know Label Map Segmentation Storage.
            "UnknownSopClassAccepted": True,
            "StableAge": 1,
            "SyncStorageArea": False,
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": False},
        }
