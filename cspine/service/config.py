"""The configuration of `cspine serve-pacs`: a typed model of its YAML file (docs/routing.md).

Passwords never stand in it: it names the file or the environment variable that holds them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator
from pydicom.datadict import tag_for_keyword

from cspine.core.anatomy import levels_text, parse_levels
from cspine.core.errors import RoutingConfigError, UsageError
from cspine.service.config_faults import describe_faults


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    """Let a relative path count from the folder of the configuration."""
    folder = (info.context or {}).get("folder", Path())
    return Path(folder) / path.expanduser()


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
        raise ValueError("an address begins with http:// or https:// and names a host")
    if parts.username or parts.password:
        raise ValueError("no user and no password in an address: use credentials")
    return url.rstrip("/")


def _keyword(text: str) -> str:
    if tag_for_keyword(text) is None:
        raise ValueError("not a keyword of DICOM's data dictionary")
    if text in ("Modality", "StudyDate"):
        raise ValueError("CT and days_back are asked for always")
    return text


def _levels(text: str) -> str:
    try:
        return levels_text(parse_levels(text))
    except UsageError as error:
        raise ValueError(error.message) from error


Levels = Annotated[str, AfterValidator(_levels)]
ConfigPath = Annotated[Path, AfterValidator(_beside_the_file)]
AeTitle = Annotated[str, AfterValidator(_ae_title)]
CallingAeTitle = Annotated[str, AfterValidator(_calling_ae_title)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
Keyword = Annotated[str, AfterValidator(_keyword)]
Name = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,40}$")]


class Section(BaseModel):
    """What all parts of the configuration share."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerTls(Section):
    """TLS of the DICOM listener."""

    certificate: ConfigPath = Field(
        description="PEM file with the service's certificate and those between it and a root."
    )
    key: ConfigPath = Field(description="PEM file with its private key, without a passphrase.")
    ca: ConfigPath | None = Field(
        default=None, description="PEM file with the authorities that senders are checked with."
    )
    require_client_certificate: bool = Field(default=True, description="Refuse senders without a valid certificate.")

    @model_validator(mode="after")
    def _can_check(self) -> Self:
        if self.require_client_certificate and self.ca is None:
            raise ValueError("require_client_certificate needs ca; write false to accept any sender")
        return self


class ClientTls(Section):
    """TLS towards a DICOM destination."""

    ca: ConfigPath | None = Field(
        default=None, description="PEM file with the authorities; the system's where left out."
    )
    certificate: ConfigPath | None = Field(default=None, description="PEM file with the service's own certificate.")
    key: ConfigPath | None = Field(default=None, description="PEM file with its private key.")
    check_host_name: bool = Field(default=True, description="The certificate must name the host.")

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together")
        return self


class Credentials(Section):
    """How the service signs in to a DICOMweb server: user and password, or a bearer token."""

    user: str | None = Field(default=None, description="User of HTTP Basic.")
    password_file: ConfigPath | None = Field(default=None, description="File that holds the password alone.")
    password_variable: str | None = Field(default=None, description="Environment variable that holds the password.")
    token_file: ConfigPath | None = Field(default=None, description="File that holds a bearer token alone.")
    token_variable: str | None = Field(default=None, description="Environment variable that holds a bearer token.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        passwords = [self.password_file, self.password_variable]
        tokens = [self.token_file, self.token_variable]
        given = [value for value in passwords + tokens if value is not None]
        if len(given) != 1:
            raise ValueError("give one of password_file, password_variable, token_file, token_variable")
        if (given[0] in passwords) != (self.user is not None):
            raise ValueError("a user belongs to a password, and a password to a user")
        return self

    def secret(self) -> str:
        """Read the password or token, now: it may have been renewed.

        Raises
        ------
        RoutingConfigError
            If the file or variable is not there.
        """
        file, variable = self.password_file or self.token_file, self.password_variable or self.token_variable
        try:
            found = file.read_text("utf-8") if file else os.environ[str(variable)]
        except (OSError, UnicodeDecodeError, KeyError) as error:
            where = f"file {file.name}" if file else f"environment variable {variable}"
            raise RoutingConfigError(f"credentials: the {where} cannot be read") from error
        return found.strip()


class Timeouts(Section):
    """How long the listener waits for a sender."""

    negotiation_s: Seconds = Field(default=30, description="For an association to be asked for, released, and for TLS.")
    message_s: Seconds = Field(default=60, description="For the rest of a message that has begun.")
    silence_s: Seconds = Field(default=60, description="Without a byte, before a connection is closed.")


class Listener(Section):
    """The DICOM port that receives studies."""

    ae_title: AeTitle = Field(default="CSPINE", description="AE title; senders must call it by this name.")
    host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 for all of the machine.")
    port: Port = Field(default=11112, description="Port; those below 1024 need a privilege.")
    allowed_calling_ae_titles: tuple[CallingAeTitle, ...] = Field(
        min_length=1, description='AE titles that may send; "*" for all.'
    )
    tls: ServerTls | None = Field(default=None, description="TLS; unencrypted where left out.")
    timeouts: Timeouts = Field(default=Timeouts(), description="Patience with senders.")
    maximum_associations: int = Field(default=10, ge=1, le=200, description="Senders at the same time.")


class WebServer(Section):
    """A DICOMweb server."""

    url: WebAddress = Field(description="Address of the server, for example https://pacs/dicom-web.")
    credentials: Credentials | None = Field(default=None, description="How to sign in.")
    ca: ConfigPath | None = Field(
        default=None, description="PEM file with the authorities; the system's where left out."
    )
    timeout_s: Seconds = Field(default=60, description="For each answer.")

    @model_validator(mode="after")
    def _no_secret_in_clear(self) -> Self:
        parts = urlsplit(self.url)
        if self.credentials and parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise ValueError("credentials would travel in clear text: use https")
        return self


class Polling(WebServer):
    """A DICOMweb server that is asked for new studies."""

    interval_s: Seconds = Field(default=60, description="Between two questions.")
    days_back: int = Field(default=2, ge=0, description="Age of the oldest Study Date that is asked for.")
    filters: dict[Keyword, str] = Field(
        default={},
        description="DICOM keywords with values that series or their studies must match, for example BodyPartExamined.",
    )
    longest_pause_s: Seconds = Field(default=900, description="Between two questions while the server is down.")


class Limits(Section):
    """What the service takes before it refuses; a sender then keeps the study and tries again."""

    instance_bytes: int = Field(default=512 * 2**20, gt=0, description="Size of one instance, held in memory.")
    study_instances: int = Field(default=20_000, gt=0, description="Instances of one study.")
    spool_bytes: int = Field(default=200 * 2**30, gt=0, description="Size of the spool.")
    free_bytes: int = Field(default=5 * 2**30, ge=0, description="What must stay free on the spool's disk.")


class Run(Section):
    """How a study is run; one at a time on each device."""

    model: str | None = Field(
        default=None, description="Name or folder of a model package; cspine's own where left out."
    )
    allow_demonstration: bool = Field(
        default=False, description="Run a demonstration model although none is named: for trials, not for patients."
    )
    devices: tuple[str, ...] = Field(
        default=("auto",), min_length=1, description="auto, cpu, cuda or cuda:N, one process each."
    )
    seg_type: Literal["binary", "labelmap"] = Field(default="binary", description="As cspine run --seg-type.")
    step_size: float = Field(default=0.5, gt=0, le=1, description="As cspine run --step-size.")
    folds: tuple[str, ...] | None = Field(default=None, description="As cspine run --folds.")
    mirror: bool = Field(default=False, description="As cspine run --mirror.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(default="auto", description="As cspine run --precision.")
    rules: ConfigPath | None = Field(default=None, description="As cspine run --rules.")
    levels: Levels | None = Field(default=None, description="As cspine run --levels, for example C1-T1.")
    solve_levels: bool = Field(default=True, description="As cspine run --solve-levels.")
    time_limit_s: Seconds = Field(default=3600, description="For one study; then its process is ended.")
    attempts: int = Field(default=3, ge=1, description="Of a study that fails for want of memory, device or disk.")
    retry_after_s: Seconds = Field(default=60, description="Before the second attempt; doubled with each one after it.")


class Retry(Section):
    """When a delivery that failed is tried again."""

    first_delay_s: Seconds = Field(default=30, description="Before the second attempt.")
    factor: float = Field(default=2, ge=1, le=100, description="By which each pause is longer than the one before it.")
    maximum_delay_s: Seconds = Field(default=1800, description="The longest pause.")
    give_up_after_h: float = Field(default=72, gt=0, description="Hours after which the results go to failed/.")

    def delay_s(self, attempts: int) -> float:
        """Return the pause after so many attempts, in seconds."""
        return float(min(self.first_delay_s * self.factor ** min(attempts - 1, 64), self.maximum_delay_s))


class DicomDestination(Section):
    """A destination that takes C-STORE."""

    host: str = Field(description="Host.")
    port: Port = Field(description="Port.")
    ae_title: AeTitle = Field(description="Its AE title.")
    calling_ae_title: AeTitle = Field(default="CSPINE", description="The AE title that the service calls itself.")
    tls: ClientTls | None = Field(default=None, description="TLS; unencrypted where left out.")
    timeout_s: Seconds = Field(default=60, description="For each answer.")


class WebDestination(WebServer):
    """A destination that takes STOW-RS."""


class Destination(Section):
    """Where results go: give one of dicom and dicomweb."""

    name: Name = Field(description="Name in logs and metrics.")
    dicom: DicomDestination | None = Field(default=None, description="C-STORE.")
    dicomweb: WebDestination | None = Field(default=None, description="STOW-RS.")
    retry: Retry = Field(default=Retry(), description="What happens while it cannot be reached.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.dicom is None) == (self.dicomweb is None):
            raise ValueError("give one of dicom and dicomweb")
        return self


class Http(Section):
    """The port of /healthz and /metrics."""

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: Port = Field(default=9112, description="Port.")


class Retention(Section):
    """How long studies stay in the spool when the service is done with them."""

    done_days: float = Field(
        default=7, ge=0, description="Delivered studies; a study sent again within it is not run again."
    )
    failed_days: float | None = Field(default=90, ge=0, description="Dead letters; null keeps them for ever.")


class RoutingConfig(Section):
    """The whole file. It needs a listener or polling, or both."""

    spool: ConfigPath = Field(description="Folder of the queue, on a local disk, for this service alone.")
    study_complete_after_s: Seconds = Field(default=60, description="Without a new instance, before a study is run.")
    listener: Listener | None = Field(default=None, description="Receive by DICOM.")
    polling: Polling | None = Field(default=None, description="Fetch by DICOMweb.")
    limits: Limits = Field(default=Limits(), description="What is refused.")
    run: Run = Field(default=Run(), description="How studies are run.")
    destinations: tuple[Destination, ...] = Field(min_length=1, description="Where results go; each gets all of them.")
    http: Http = Field(default=Http(), description="State and metrics.")
    retention: Retention = Field(default=Retention(), description="What is removed, and when.")

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        if self.listener is None and self.polling is None:
            raise ValueError("give a listener, or polling, or both")
        names = [destination.name for destination in self.destinations]
        if len(set(names)) != len(names):
            raise ValueError("two destinations have the same name")
        return self


def load_config(path: Path) -> RoutingConfig:
    """Read a configuration file.

    Parameters
    ----------
    path : Path
        YAML as docs/routing.md describes it; relative paths in it count from its folder.

    Raises
    ------
    RoutingConfigError
        If the file cannot be read or does not follow the schema; the message names the fields.
    """
    try:
        content: Any = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RoutingConfigError(f"the configuration cannot be read ({type(error).__name__})") from error
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = f" (line {line + 1})" if isinstance(line, int) else ""
        raise RoutingConfigError(f"the configuration is not YAML{where}") from error
    try:
        return RoutingConfig.model_validate(content, context={"folder": path.resolve().parent})
    except ValidationError as error:
        faults = "; ".join(describe_faults(error))
        raise RoutingConfigError(f"the configuration does not follow its schema: {faults}") from error
