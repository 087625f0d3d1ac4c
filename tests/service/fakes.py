"""A fake PACS and a fake scanner for the tests of the service."""

from __future__ import annotations

import socket
import threading
import time

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import AE, AllStoragePresentationContexts, evt


def free_port() -> int:
    """A free port."""
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


class Pacs:
    """A storage SCP in this process that keeps what it gets; ``status`` is what it answers."""

    def __init__(self, contexts: list[str] | None = None, syntax: str | None = None) -> None:
        self.status = 0x0000
        self.got: list[Dataset] = []
        self._lock = threading.Lock()
        ae = AE("PACS")
        ae.add_supported_context("1.2.840.10008.1.1")
        for context in contexts or [str(c.abstract_syntax) for c in AllStoragePresentationContexts]:
            ae.add_supported_context(context, syntax)
        ae.maximum_associations = 50
        server = ae.start_server(
            ("127.0.0.1", 0),
            block=False,
            evt_handlers=[(evt.EVT_C_STORE, self._store), (evt.EVT_C_ECHO, lambda event: 0)],
        )
        assert server is not None
        self._server = server
        self.port = int(server.server_address[1])

    def _store(self, event: evt.Event) -> int:
        with self._lock:
            dataset = event.dataset
            dataset.file_meta = event.file_meta
            if self.status == 0:
                self.got.append(dataset)
        return self.status

    @property
    def uids(self) -> list[UID]:
        """SOP Instance UIDs of all that it received, in order."""
        return [dataset.SOPInstanceUID for dataset in self.got]

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()


def send_study(port: int, datasets: list[Dataset], calling: str = "SCANNER", called: str = "CSPINE") -> list[int]:
    """Send instances over one association; return the statuses, empty where it did not come about."""
    ae = AE(calling)
    for context in sorted({(str(d.SOPClassUID), str(d.file_meta.TransferSyntaxUID)) for d in datasets}):
        ae.add_requested_context(*context)
    association = ae.associate("127.0.0.1", port, ae_title=called)
    if not association.is_established:
        return []
    statuses = [int(association.send_c_store(dataset).Status) for dataset in datasets]
    association.release()
    return statuses


def wait_for(condition: object, seconds: float = 15.0) -> None:
    """Wait until a callable gives something true."""
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
