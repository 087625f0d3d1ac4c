"""The items that need a running container: the commands of the image, and the segmentation of a study."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from image import require

#: Clock of all runs, so that their results can be compared byte for byte.
EPOCH = "1700000000"


@dataclass(frozen=True)
class Outcome:
    """The exit code and the output of a container."""

    exit_code: int
    output: str
    errors: str


@dataclass(frozen=True)
class Runs:
    """Start containers of an image with all restrictions, each with its own folders.

    Parameters
    ----------
    image : str
        Name.
    engine : list of str
        Command of podman or docker.
    series : Path
        Folder with a CT series.
    scratch : Path
        Folder for the output.
    """

    image: str
    engine: list[str]
    series: Path
    scratch: Path

    def start(self, *command: str, mounts: Sequence[str] = (), user: str = "1000:1000") -> Outcome:
        """Start a container: no network, no capabilities, read-only root, unprivileged."""
        options = ["run", "--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp:rw,size=64m", "--user", user]  # noqa: S108
        options += ["--cap-drop", "all", "--security-opt", "no-new-privileges", "--env", f"SOURCE_DATE_EPOCH={EPOCH}"]
        options += ["--ulimit", "nofile=4096:4096"]
        if "podman" in self.engine[0]:
            options += ["--read-only-tmpfs=false", "--ulimit", "nproc=1024:1024"]
        for mount in mounts:
            options += ["--volume", mount]
        done = subprocess.run(
            [*self.engine, *options, self.image, *command], check=False, capture_output=True, text=True
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def folder(self, name: str) -> Path:
        """Return a new folder that every user can write."""
        folder = self.scratch / name
        folder.mkdir()
        folder.chmod(0o777)
        return folder

    def segment(self, name: str, *command: str, user: str = "1000:1000") -> Path:
        """Run on the series; return the folder with the results."""
        out = self.folder(name)
        mounts = (f"{self.series}:/var/holoscan/input:ro", f"{out}:/var/holoscan/output")
        outcome = self.start(*command, mounts=mounts, user=user)
        require(outcome.exit_code == 0, f"exit code {outcome.exit_code}: {outcome.errors[-400:]}")
        return out


def _digest(folder: Path) -> str:
    return hashlib.sha256((folder / "dicom" / "segmentation.dcm").read_bytes()).hexdigest()


def run_items(runs: Runs, direct: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield the items that need a running container."""

    def show() -> None:
        shown = runs.start("show")
        decoder, text, manifests = json.JSONDecoder(), shown.output.strip(), []
        while text:
            manifest, end = decoder.raw_decode(text)
            manifests.append(manifest)
            text = text[end:].lstrip()
        require(shown.exit_code == 0 and len(manifests) == 2, "`show` does not print both manifests")

    def environment() -> None:
        shown = runs.start("env")
        require("HOLOSCAN_INPUT_PATH=/var/holoscan/input" in shown.output, "`env` does not print the environment")
        require(runs.start("help").exit_code == 0, "`help` fails")

    def extract() -> None:
        folder = runs.folder("export")
        done = runs.start("extract", mounts=[f"{folder}:/var/run/holoscan/export"])
        require(done.exit_code == 0, done.errors)
        for file in ("app/app/__main__.py", "config/app.json", "config/pkg.json", "docs/README.md"):
            require((folder / file).is_file(), f"{file} was not copied")
        require(list((folder / "models").glob("*/model.yaml")), "no model was copied")
        require(runs.start("extract").exit_code != 0, "`extract` without a mount succeeds")

    def same_as_direct() -> None:
        made = runs.segment("user-1000")
        require(_digest(made) == _digest(direct), "the DICOM Segmentation differs from that of a direct run")
        require((made / "report" / "preview.png").stat().st_size, "the preview is empty")
        report = json.loads((made / "report" / "summary.json").read_text())
        require(report["vertebrae"], "the summary names no vertebra")

    def any_user() -> None:
        made = runs.segment(
            "user-4321", "cspine", "run", "/var/holoscan/input", "/var/holoscan/output", user="4321:8765"
        )
        require(_digest(made) == _digest(direct), "the DICOM Segmentation differs from that of a direct run")

    def module() -> None:
        started = runs.start("python3", "-m", "app", "--help")
        require(started.exit_code == 0 and "--input" in started.output, f"python3 -m app: {started.errors[-300:]}")
        inside = runs.start("python3", "-c", "import app, cspine.app.app, cspine.operators")
        require(inside.exit_code == 0, "cspine.app and cspine.operators cannot be imported")

    def failures() -> None:
        empty, out = runs.folder("empty"), runs.folder("nothing")
        mounts = [f"{empty}:/var/holoscan/input:ro", f"{out}:/var/holoscan/output"]
        failed = runs.start(mounts=mounts)
        require(failed.exit_code == 3, f"an empty input ends with exit code {failed.exit_code}, not 3")
        require(not list(out.iterdir()), "a failed run left files")
        lost = runs.start(mounts=[f"{runs.series}:/var/holoscan/input:ro"])
        require(lost.exit_code == 10, f"without a mounted output the exit code is {lost.exit_code}, not 10")

    def doctor() -> None:
        result = runs.start("doctor", "--json", mounts=[f"{runs.folder('doctor')}:/var/holoscan/output"])
        require(
            result.exit_code == 0 and json.loads(result.output), f"exit code {result.exit_code}: {result.output[-600:]}"
        )

    def service() -> None:
        schema = runs.start("cspine", "serve-pacs", "--schema")
        require(
            schema.exit_code == 0 and json.loads(schema.output), f"exit code {schema.exit_code}: {schema.errors[-300:]}"
        )

    yield "`show` prints the manifests", show
    yield "`env` and `help`", environment
    yield "`extract` copies application, configuration, models, documents", extract
    yield "`python3 -m app`, and cspine.app and cspine.operators can be imported", module
    yield "failures: exit codes, no files, unmounted output refused", failures
    yield "`doctor` succeeds", doctor
    yield "`cspine serve-pacs` works", service
    yield "user 1000, no network, read-only: the same DICOM Segmentation as a direct run", same_as_direct
    yield "user 4321, not in passwd: the same DICOM Segmentation by `cspine run`", any_user
