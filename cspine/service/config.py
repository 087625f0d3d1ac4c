"""The configuration of `cspine serve-pacs`: a typed model of its YAML file (docs/reference/configuration.md).

It contains no passwords: it names the file or the environment variable that holds them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator
from pydicom.datadict import tag_for_keyword

from cspine.core.anatomy import levels_text, parse_levels
from cspine.core.errors import RoutingConfigError, UsageError
from cspine.core.findings import parse_fail_on
from cspine.dicom.seg_type import SegType
from cspine.inference.settings import EngineName, Precision, RoiName
from cspine.io.documents import DocumentError, read_yaml
from cspine.pipeline.outputs import DEFAULT_OUTPUTS, OUTPUTS, parse_outputs
from cspine.pipeline.settings import ConfidenceName
from cspine.service.config_faults import describe_faults
from cspine.surfaces.fe_settings import DEFAULT_FE_FORMATS, parse_fe_formats
from cspine.surfaces.settings import DEFAULT_FORMATS, DICOM, parse_formats


def _resolve(path: Path, info: ValidationInfo) -> Path:
    """Resolve a relative path against the folder of the configuration file."""
    folder = (info.context or {}).get("folder", Path())
    if "\0" in str(path):
        raise ValueError("a path has no null character")
    try:
        return Path(folder) / path.expanduser()
    except RuntimeError as error:
        raise ValueError("the home folder of this user is not known") from error


def _ae_title(text: str) -> str:
    text = text.strip()
    if not 1 <= len(text) <= 16 or "\\" in text or not text.isascii() or not text.isprintable():
        raise ValueError("an AE title has 1 to 16 printable ASCII characters and no backslash")
    return text


def _calling_ae_title(text: str) -> str:
    return text if text == "*" else _ae_title(text)


def _web_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("a URL starts with http:// or https:// and has a host")
    if parts.username or parts.password:
        raise ValueError("a URL must not contain user or password: use credentials")
    return url.rstrip("/")


def _keyword(text: str) -> str:
    if tag_for_keyword(text) is None:
        raise ValueError("not a keyword of the DICOM data dictionary")
    if text in ("Modality", "StudyDate"):
        raise ValueError("set by cspine: Modality is CT, StudyDate follows from lookback_days")
    return text


def _checked(parse: Callable[[str], str]) -> AfterValidator:
    """Return a validator of a text that a command reads with ``parse``, which raises UsageError."""

    def validate(text: str) -> str:
        try:
            return parse(text)
        except UsageError as error:
            raise ValueError(error.message) from error

    return AfterValidator(validate)


Levels = Annotated[str, _checked(lambda text: levels_text(parse_levels(text)))]
FailOn = Annotated[str, _checked(lambda text: ",".join(parse_fail_on(text)))]
Outputs = Annotated[str, _checked(lambda text: ",".join(parse_outputs(text)))]
SurfaceFormats = Annotated[str, _checked(lambda text: ",".join(parse_formats(text)))]
FeFormats = Annotated[str, _checked(lambda text: ",".join(parse_fe_formats(text)))]
ConfigPath = Annotated[Path, AfterValidator(_resolve)]
AeTitle = Annotated[str, AfterValidator(_ae_title)]
CallingAeTitle = Annotated[str, AfterValidator(_calling_ae_title)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
Port = Annotated[int, Field(ge=1, le=65535)]
#: Up to a year: timers overflow long after.
Seconds = Annotated[float, Field(gt=0, le=366 * 86_400)]
Days = Annotated[float, Field(ge=0, le=36_525)]
Keyword = Annotated[str, AfterValidator(_keyword)]
Name = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,40}$")]


class Section(BaseModel):
    """Base of all sections of the configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerTls(Section):
    """TLS of the DICOM listener."""

    certificate: ConfigPath = Field(description="PEM file with the certificate chain of the service.")
    key: ConfigPath = Field(description="PEM file with the private key, without passphrase.")
    ca: ConfigPath | None = Field(default=None, description="PEM file with the CA certificates that verify senders.")
    require_client_certificate: bool = Field(default=True, description="Reject senders without a valid certificate.")

    @model_validator(mode="after")
    def _require_ca(self) -> Self:
        if self.require_client_certificate and self.ca is None:
            raise ValueError("require_client_certificate needs ca; set it to false to accept any sender")
        return self


class ClientTls(Section):
    """TLS of connections to a DICOM destination."""

    ca: ConfigPath | None = Field(
        default=None, description="PEM file with CA certificates; default: those of the system."
    )
    certificate: ConfigPath | None = Field(default=None, description="PEM file with the client certificate.")
    key: ConfigPath | None = Field(default=None, description="PEM file with the private key of the client certificate.")
    check_host_name: bool = Field(default=True, description="Verify that the certificate matches the host name.")

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key must be given together")
        return self


class Credentials(Section):
    """Credentials for a DICOMweb server: user and password, or a bearer token."""

    user: str | None = Field(default=None, description="User name for HTTP Basic authentication.")
    password_file: ConfigPath | None = Field(default=None, description="File that contains only the password.")
    password_variable: str | None = Field(default=None, description="Environment variable with the password.")
    token_file: ConfigPath | None = Field(default=None, description="File that contains only the bearer token.")
    token_variable: str | None = Field(default=None, description="Environment variable with the bearer token.")

    @model_validator(mode="after")
    def _one_method(self) -> Self:
        passwords = [self.password_file, self.password_variable]
        tokens = [self.token_file, self.token_variable]
        given = [value for value in passwords + tokens if value is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of password_file, password_variable, token_file, token_variable")
        if (given[0] in passwords) != (self.user is not None):
            raise ValueError("user and password must be given together")
        return self

    def secret(self) -> str:
        """Read the password or token; it is read at each use because it may have been renewed.

        Raises
        ------
        RoutingConfigError
            If the file or variable cannot be read.
        """
        file, variable = self.password_file or self.token_file, self.password_variable or self.token_variable
        try:
            found = file.read_text("utf-8") if file else os.environ[str(variable)]
        except (OSError, UnicodeDecodeError, KeyError) as error:
            where = f"file {file.name}" if file else f"environment variable {variable}"
            raise RoutingConfigError(f"credentials: cannot read {where}") from error
        return found.strip()


class Timeouts(Section):
    """Timeouts of the DICOM listener."""

    negotiation_s: Seconds = Field(
        default=30, description="For the TLS handshake and the association request together, and for the release."
    )
    message_s: Seconds = Field(
        default=60,
        description="For one PDU; with idle_s, and a second for each 64 KiB received, for the next instance.",
    )
    idle_s: Seconds = Field(default=60, description="Until an association without traffic is closed.")


class Listener(Section):
    """The DICOM port that receives studies."""

    ae_title: AeTitle = Field(
        default="CSPINE", description="AE title; associations with another called AE title are rejected."
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 for all interfaces.")
    port: Port = Field(default=11112, description="Port; ports below 1024 need privileges.")
    allowed_calling_ae_titles: tuple[CallingAeTitle, ...] = Field(
        min_length=1, description='AE titles that may send; "*" for any.'
    )
    tls: ServerTls | None = Field(default=None, description="TLS; default: unencrypted.")
    timeouts: Timeouts = Field(default=Timeouts(), description="Timeouts of associations and connections.")
    max_associations: int = Field(default=10, ge=1, le=200, description="Maximum number of simultaneous associations.")
    max_pending_connections: int = Field(
        default=64,
        ge=1,
        le=1000,
        description="Maximum number of connections without an association; beyond it, the oldest one of the address "
        "that has most of them is closed.",
    )


class WebServer(Section):
    """A DICOMweb server."""

    url: WebAddress = Field(description="URL of the server, for example https://pacs/dicom-web.")
    credentials: Credentials | None = Field(default=None, description="Credentials of the server.")
    ca: ConfigPath | None = Field(
        default=None, description="PEM file with CA certificates; default: those of the system."
    )
    timeout_s: Seconds = Field(default=60, description="Timeout of each request.")

    @model_validator(mode="after")
    def _no_secret_in_clear(self) -> Self:
        parts = urlsplit(self.url)
        if self.credentials and parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise ValueError("credentials would be sent in clear text: use https")
        return self


class Polling(WebServer):
    """A DICOMweb server that is polled for new studies."""

    interval_s: Seconds = Field(default=60, description="Polling interval.")
    lookback_days: int = Field(default=2, ge=0, le=36_525, description="Maximum age of a study, by Study Date.")
    filters: dict[Keyword, str] = Field(
        default={},
        description="DICOM keywords and values that a series or its study must match, for example BodyPartExamined.",
    )
    max_interval_s: Seconds = Field(default=900, description="Maximum polling interval while the server is down.")


class Limits(Section):
    """Limits of the spool; beyond them instances are refused as out of resources, and the sender retries."""

    max_instance_bytes: int = Field(
        default=512 * 2**20, gt=0, description="Size of one instance, which is held in memory."
    )
    max_study_instances: int = Field(default=20_000, gt=0, description="Number of instances of one study.")
    max_spool_bytes: int = Field(default=200 * 2**30, gt=0, description="Size of the spool.")
    min_free_bytes: int = Field(
        default=5 * 2**30, ge=0, description="Free space that must remain on the disk of the spool."
    )


class Run(Section):
    """How studies are run: one at a time on each device."""

    model: str | None = Field(
        default=None, description="Name or folder of a model package; default: the one that cspine ships."
    )
    allow_demonstration: bool = Field(
        default=False, description="Run a demonstration model although none is named: for trials, not for patients."
    )
    devices: tuple[str, ...] = Field(
        default=("auto",), min_length=1, description="auto, cpu, cuda or cuda:N; one worker process each."
    )
    seg_type: SegType = Field(default=SegType.BINARY, description="As cspine run --seg-type.")
    step_size: float = Field(default=0.5, gt=0, le=1, description="As cspine run --step-size.")
    folds: tuple[str, ...] | None = Field(default=None, description="As cspine run --folds.")
    mirror: bool = Field(default=False, description="As cspine run --mirror.")
    precision: Precision = Field(default="auto", description="As cspine run --precision.")
    engine: EngineName = Field(default="auto", description="As cspine run --engine.")
    roi: RoiName = Field(default="auto", description="As cspine run --roi.")
    confidence: ConfidenceName = Field(default="fast", description="As cspine run --confidence.")
    outputs: Outputs | None = Field(
        default=None,
        description="As cspine run --outputs, for example seg,sr,sc,preview,report: all DICOM objects among them are "
        f"sent; the summary is always written. Default: {','.join(DEFAULT_OUTPUTS)}.",
    )
    surface_format: SurfaceFormats = Field(
        default=",".join(DEFAULT_FORMATS),
        description="As cspine run --surface-format, of the output surfaces: only dicom is sent.",
    )
    fe_format: FeFormats = Field(
        default=",".join(DEFAULT_FE_FORMATS), description="As cspine run --fe-format, of the output fe; not sent."
    )
    rules: ConfigPath | None = Field(default=None, description="As cspine run --rules.")
    levels: Levels | None = Field(default=None, description="As cspine run --levels, for example C1-T1.")
    solve_levels: bool = Field(default=True, description="As cspine run --solve-levels.")
    repair_gaps: bool = Field(default=False, description="As cspine run --repair-gaps.")
    fail_on: FailOn | None = Field(
        default=None, description="As cspine run --fail-on: such a study is set aside, and nothing is sent."
    )
    time_limit_s: Seconds = Field(default=3600, description="Time limit of one run; then its process is killed.")
    max_attempts: int = Field(
        default=3, ge=1, le=1000, description="Attempts at a study whose run fails for a reason other than its input."
    )
    retry_after_s: Seconds = Field(
        default=60, description="Delay before the second attempt; doubled for each further attempt."
    )

    @model_validator(mode="after")
    def _something_to_send(self) -> Self:
        names = parse_outputs(self.outputs) if self.outputs is not None else DEFAULT_OUTPUTS
        has_surfaces = "surfaces" in names and DICOM in parse_formats(self.surface_format)
        if not has_surfaces and not any(output.name in names for output in OUTPUTS if output.needs_dicom):
            raise ValueError("no DICOM object is among the outputs, so there would be nothing to send")
        return self


class Retry(Section):
    """When a failed delivery is retried."""

    initial_delay_s: Seconds = Field(default=30, description="Delay before the second attempt.")
    factor: float = Field(default=2, ge=1, le=100, description="Factor by which the delay grows with each attempt.")
    max_delay_s: Seconds = Field(default=1800, description="Maximum delay.")
    give_up_after_h: float = Field(
        default=72, gt=0, le=8_784, description="Hours after which the delivery is abandoned."
    )

    def delay_s(self, attempts: int) -> float:
        """Return the delay in seconds after this number of attempts."""
        return float(min(self.initial_delay_s * self.factor ** min(attempts - 1, 64), self.max_delay_s))


class DicomDestination(Section):
    """A destination that receives by C-STORE."""

    host: str = Field(description="Host.")
    port: Port = Field(description="Port.")
    ae_title: AeTitle = Field(description="AE title of the destination.")
    calling_ae_title: AeTitle = Field(default="CSPINE", description="AE title of the service.")
    tls: ClientTls | None = Field(default=None, description="TLS; default: unencrypted.")
    timeout_s: Seconds = Field(default=60, description="Timeout of each request.")


class WebDestination(WebServer):
    """A destination that receives by STOW-RS."""


class Destination(Section):
    """A destination of the results: give either dicom or dicomweb."""

    name: Name = Field(description="Name in logs and metrics.")
    dicom: DicomDestination | None = Field(default=None, description="C-STORE.")
    dicomweb: WebDestination | None = Field(default=None, description="STOW-RS.")
    retry: Retry = Field(default=Retry(), description="Retries of failed deliveries.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.dicom is None) == (self.dicomweb is None):
            raise ValueError("give either dicom or dicomweb")
        return self


class Http(Section):
    """The HTTP port of /healthz and /metrics."""

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: Port = Field(default=9112, description="Port.")


class Retention(Section):
    """How long finished jobs stay in the spool."""

    done_days: Days = Field(
        default=7,
        description="Days that delivered jobs are kept; a study that is sent again within them is not run again.",
    )
    failed_days: Days | None = Field(default=90, description="Days that failed jobs are kept; null keeps them forever.")


class ServiceConfig(Section):
    """The configuration file. It has a listener, polling, or both."""

    spool: ConfigPath = Field(description="Folder of the queue, on a local disk; one per service.")
    study_complete_after_s: Seconds = Field(
        default=60, description="Seconds without a new instance after which a study is complete."
    )
    listener: Listener | None = Field(default=None, description="Receive studies by C-STORE.")
    polling: Polling | None = Field(default=None, description="Fetch studies by DICOMweb.")
    limits: Limits = Field(default=Limits(), description="Limits of the spool.")
    run: Run = Field(default=Run(), description="Settings of the runs.")
    destinations: tuple[Destination, ...] = Field(min_length=1, description="Destinations; each receives all results.")
    http: Http = Field(default=Http(), description="Status and metrics.")
    retention: Retention = Field(default=Retention(), description="Retention of finished jobs.")

    @model_validator(mode="after")
    def _sources_and_names(self) -> Self:
        if self.listener is None and self.polling is None:
            raise ValueError("give listener, polling, or both")
        names = [destination.name for destination in self.destinations]
        if len(set(names)) != len(names):
            raise ValueError("destination names must be unique")
        return self


def load_config(path: Path) -> ServiceConfig:
    """Read a configuration file.

    Parameters
    ----------
    path : Path
        YAML file as docs/reference/configuration.md describes it; relative paths are relative to its folder.

    Raises
    ------
    RoutingConfigError
        If the file cannot be read or is invalid; the message names the fields.
    """
    try:
        content: Any = read_yaml(path)
    except OSError as error:
        raise RoutingConfigError(f"cannot read the configuration ({type(error).__name__})") from error
    except DocumentError as error:
        raise RoutingConfigError(f"the configuration {error}") from error
    try:
        return ServiceConfig.model_validate(content, context={"folder": path.resolve().parent})
    except ValidationError as error:
        faults = "; ".join(describe_faults(error))
        raise RoutingConfigError(f"invalid configuration: {faults}") from error
