"""Settings: `VEO3_*` and `GOOGLE_*` variables, a `.env` file and arguments in, one checked object out.

An argument beats the environment, the environment beats `.env`. Nothing else in aveo3 reads the environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Unpack
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from aveo3 import labels
from aveo3.config import catalog, database_choice, environment, file_names
from aveo3.config.backend_choice import DEFAULT_MODELS, NO_BACKEND, BackendName, ChosenBackend, choose
from aveo3.config.catalog import Catalog
from aveo3.config.database_address import DatabaseAddress, passwords_in, shown_address
from aveo3.config.env_file import ENCODING
from aveo3.config.environment import ENV_FILE, PREFIX, Variable
from aveo3.config.field_types import (
    Address,
    BaseAddress,
    Count,
    Dollars,
    DollarsOrOff,
    Duration,
    Key,
    PerMinute,
    Region,
    Seconds,
    ServerAddress,
    Size,
    Word,
    at_home,
    reachable,
    trimmed,
    writable_name,
)
from aveo3.config.rates import Rate, rate_of
from aveo3.config.server_choice import in_the_way
from aveo3.errors import UsageError
from aveo3.input_forms import model_id
from aveo3.models import Labels, ModelId, VideoPrompt

if TYPE_CHECKING:
    from aveo3.config.arguments import SettingsArguments

JOURNAL = Path(".aveo3", "journal.db")


class Settings(BaseSettings):
    """Everything that can be set. `Settings()` reads the environment and `.env`; arguments win over both.

    Raises `UsageError` naming the variable, the value, where it came from and the values allowed.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=ENV_FILE,
        env_file_encoding=ENCODING,
        env_ignore_empty=True,
        env_parse_none_str="none",
        dotenv_filtering="only_existing",  # a .env is shared with other programs; our own typos are looked for below
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    max_retries: Count = Field(default=3, ge=0, description="retries after a failure; refusals do not count")
    retry_wait_base: Seconds = Field(
        default=30, ge=0, description="seconds; the wait before retry n is base × n, with jitter"
    )
    quota_wait_time: Seconds = Field(
        default=300, gt=0, description="seconds to wait after a refusal that names neither delay nor window"
    )
    consecutive_failure_threshold: Count = Field(
        default=3, ge=1, description="consecutive refusals that open the circuit breaker"
    )
    quota_reset_interval: Seconds = Field(
        default=3600, gt=0, description="seconds the breaker stays open if the refusal names no delay"
    )
    rate_limit: Count | None = Field(
        default=None, ge=1, description="requests per rate period; unset: the model's usual quota, or 10 a minute"
    )
    rate_period: Seconds = Field(default=60, gt=0, description="seconds in which the rate limit counts")
    burst: Count | None = Field(default=None, ge=1, description="requests at once; unset: the rate limit")
    daily_limit: Count | None = Field(
        default=None,
        ge=1,
        description="requests a day of this client on each lane; days begin at midnight in Los Angeles",
    )
    max_concurrency: Count | None = Field(
        default=None, ge=1, description="operations running at Google at once; with VEO3_SERVER: requests at the server"
    )
    spend_limit: Dollars | None = Field(
        default=None,
        gt=0,
        description="US$ per spend period, like Google's rolling limit; a clip that costs more is sent alone",
    )
    spend_period: Seconds = Field(default=600, gt=0, description="seconds in which the spend limit counts")
    budget: Dollars | None = Field(
        default=None,
        ge=0,
        description="US$ that all clips of the output directory may cost together; a run stops before more",
    )
    confirm_above: DollarsOrOff = Field(
        default=20,
        ge=0,
        description="US$ of new clips above which the command line asks before it sends, if it runs on a terminal; "
        "0: always; `none` or `off`: never",
    )
    mcp_budget: Dollars | None = Field(
        default=None,
        ge=0,
        description="US$ that agents may spend through `aveo3 mcp` in this output directory, ever; unset: they start "
        "nothing",
    )
    mcp_ask_above: DollarsOrOff = Field(
        default=20,
        ge=0,
        description="US$ that agents may spend before a person is asked again; 0: always ask; `none` or `off`: never",
    )
    mcp_media: Annotated[tuple[Path, ...], NoDecode] = Field(
        default=(),
        description="directories, with the path separator of this machine between them, whose pictures agents may "
        "send, beside the working directory and the output directory",
    )
    mcp_token: Key | None = Field(
        default=None, description="Bearer token that `aveo3 mcp --http` asks for; needed beyond this machine"
    )
    quota_patience: Seconds | None = Field(
        default=3600,
        ge=0,
        description="seconds in which no submit is possible before waiting clips are deferred; `none`: wait for ever",
    )
    backend: Literal["auto", BackendName] = Field(default="auto", description="service that makes the clips")
    model: ModelId = Field(
        default=DEFAULT_MODELS["vertex"],
        min_length=1,
        description=f"model id; unset: this default, or {DEFAULT_MODELS['gemini']} on the Gemini API",
    )
    catalog: Path | None = Field(
        default=None, description="TOML file with models and prices that add to or replace those of aveo3"
    )
    base_url: BaseAddress | None = Field(
        default=None, description="address to use instead of Google's: a mock server or gateway"
    )
    api_version: Word = Field(
        default="v1",
        pattern=r"^v\d\w*$",
        examples=["v1", "v1beta1"],
        description="API version in the path of every request, such as v1 or v1beta1",
    )
    output_dir: Path = Field(default=Path("clips"), description="directory for the videos")
    name: Annotated[str, AfterValidator(file_names.checked)] = Field(
        default=file_names.DEFAULT,
        description=f"template of the videos' names, of the fields {', '.join(file_names.FIELDS)}",
    )
    journal: Path | Literal["auto"] | None = Field(
        default="auto",
        description="file that records every job; auto: .aveo3/journal.db in the output directory; `none`: no record, "
        "so the same prompts are sent and paid again",
    )
    database: DatabaseAddress | None = Field(
        default=None,
        description="address of a PostgreSQL database that keeps the journal instead, for several processes and "
        "machines; a password may stand in PGPASSWORD or ~/.pgpass",
    )
    output_gcs_uri: Word | None = Field(
        default=None,
        pattern=r"^gs://.+",
        examples=["gs://bucket/prefix"],
        description="gs:// prefix; Google writes the videos there, and aveo3 downloads them from there",
    )
    keep_remote: bool = Field(default=False, description="do not download videos that are in a gs:// bucket")
    storage_url: Address = Field(
        default="https://storage.googleapis.com",
        validation_alias=AliasChoices("VEO3_STORAGE_URL", "STORAGE_EMULATOR_HOST"),
        description="address of Cloud Storage or of its emulator",
    )
    retention: Duration | None = Field(
        default=None,
        gt=0,
        description="how long `aveo3 serve` keeps the files of a request after its end, such as 12h or 7d; unset: for "
        "ever",
    )
    disk_limit: Size | None = Field(
        default=None,
        gt=0,
        description="size, such as 50GB, above which `aveo3 serve` removes videos that their callers have fetched; "
        "unset: no limit",
    )
    request_timeout: Seconds = Field(default=120, gt=0, description="seconds that one request to Google may take")
    operation_timeout: Seconds = Field(default=3600, gt=0, description="seconds that an operation is polled")
    resend_503: bool = Field(
        default=True,
        description="submit again after a 503 UNAVAILABLE, which says but does not prove that nothing was made",
    )
    poll_interval: Seconds | None = Field(
        default=None, gt=0, description="seconds between polls of an operation; unset: learnt from the run"
    )
    poll_rate: PerMinute | None = Field(
        default=1200,
        gt=0,
        description="polls a minute of all running operations together; `none`: no limit",
    )
    webhook: Address | None = Field(
        default=None,
        description="public address where the Gemini API reports ended interactions to this program",
    )
    webhook_listen: Word = Field(
        default="127.0.0.1:8788",
        pattern=r"^.+:[0-9]{1,5}$",
        examples=["127.0.0.1:8788"],
        description="HOST:PORT to listen on for the webhook; you connect the public address to it",
    )
    mock_mode: bool = Field(default=False, description="use the built-in emulator: no key, no network, no cost")
    debug_mode: bool = Field(default=False, description="log more: every failed poll, every limit that is tried")
    log_format: Literal["text", "json"] = Field(
        default="text",
        description="how the command line logs; json: one JSON object a line on standard error, events included",
    )
    otel: bool | None = Field(
        default=None,
        description="traces and metrics by OpenTelemetry; unset: if the program has set up a provider, or the command "
        "line knows an OTEL_EXPORTER_OTLP_ENDPOINT",
    )
    otel_content: bool = Field(
        default=False,
        description="put prompts, messages and files into the traces: they may be private, and traces go far",
    )

    lanes: Path | None = Field(
        default=None, description="TOML file of lanes, each with a quota of its own, that share the prompts"
    )
    fallback: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="models, as in `a -> b`, that make a clip when every lane of its own model is closed; unset: none",
    )
    labels: Annotated[Labels, NoDecode] = Field(
        default={},
        description="labels of every request for Google's bill, as in team=film,customer=acme; a prompt's own win",
    )
    project_label: Word | None = Field(
        default=None,
        description="name of a label that carries the `project_id` of each prompt, such as customer; unset: it is not "
        "sent",
    )
    project: Word | None = Field(
        default=None,
        validation_alias=AliasChoices("VEO3_PROJECT", "GOOGLE_CLOUD_PROJECT"),
        description="Google Cloud project",
    )
    location: Region = Field(
        default="us-central1",
        pattern=r"^[a-z0-9-]+$",
        examples=["us-central1"],
        validation_alias=AliasChoices("VEO3_LOCATION", "GOOGLE_CLOUD_LOCATION"),
        description="Google Cloud region",
    )
    api_key: Key | None = Field(
        default=None,
        validation_alias=AliasChoices("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        description="API key for the Gemini API or Vertex AI express mode",
    )
    credentials_file: Path | None = Field(
        default=None,
        validation_alias=AliasChoices("GOOGLE_APPLICATION_CREDENTIALS"),
        description="file with a service account or other credentials; unset: those of gcloud or of the machine",
    )
    server: ServerAddress | None = Field(
        default=None,
        description="address of an `aveo3 serve` that makes the clips: it queues them, and its lanes have the quota",
    )
    server_key: Key | None = Field(
        default=None, description="key for that server, from `aveo3 serve keys add`; unset: it has no keys"
    )
    server_priority: Count = Field(
        default=0, ge=-100, le=100, description="which clips go first at that server, among those of the same key"
    )
    use_vertex: bool | None = Field(
        default=None,
        validation_alias=AliasChoices("GOOGLE_GENAI_USE_ENTERPRISE", "GOOGLE_GENAI_USE_VERTEXAI"),
        description="use Vertex AI when the backend is `auto`",
    )

    def __init__(self, **values: Unpack[SettingsArguments]) -> None:
        environment.refuse_unknown(type(self).model_fields, values)
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise UsageError(environment.explain(error, type(self).model_fields, values)) from None

    @field_validator("project", "api_key", "server", "server_key", "database", "mcp_token", mode="before")
    @classmethod
    def _blank_is_unset(cls, value: Any) -> Any:
        return None if isinstance(value, str) and not trimmed(value) else value

    @field_validator("output_dir", "journal", "credentials_file", "catalog", "lanes", mode="before")
    @classmethod
    def _one_line(cls, path: Any) -> Any:
        return path.strip("\r\n") if isinstance(path, str) else path  # `clips\r`, from a script with Windows' line ends

    @field_validator("output_dir", "journal", "credentials_file", "catalog", "lanes")
    @classmethod
    def _home(cls, path: Path | str | None) -> Path | str | None:
        return writable_name(at_home(path)) if isinstance(path, Path) else path  # no shell has read a .env

    @field_validator("catalog")
    @classmethod
    def _readable_catalog(cls, path: Path | None) -> Path | None:
        catalog.load(path)
        return path

    @field_validator("mcp_media", mode="before")
    @classmethod
    def _directories(cls, places: Any) -> Any:
        return [place for place in places.split(os.pathsep) if place] if isinstance(places, str) else places

    @field_validator("mcp_media")
    @classmethod
    def _homes(cls, places: tuple[Path, ...]) -> tuple[Path, ...]:
        return tuple(at_home(place) for place in places)

    @field_validator("fallback", mode="before")
    @classmethod
    def _chain(cls, chain: Any) -> Any:
        if not isinstance(chain, str):
            return [model_id(name) for name in chain] if isinstance(chain, (list, tuple)) else chain
        if not (names := [name.strip() for name in re.split(r"->|,", chain) if name.strip()]):
            raise ValueError("must name a model, or several as in `a -> b`")
        return [model_id(name) for name in names]

    @field_validator("project_label")
    @classmethod
    def _label_name(cls, name: str | None) -> str | None:
        if name is not None and (why := labels.mistake(name, "")) is not None:
            raise ValueError(why)
        return name

    @field_validator("storage_url", mode="before")
    @classmethod
    def _with_scheme(cls, url: Any) -> Any:
        return f"http://{url}" if isinstance(url, str) and "://" not in url else url  # emulators are named host:port

    @model_validator(mode="after")
    def _model_of_the_backend(self) -> Settings:
        if "model" not in self.model_fields_set and self._choice()[0] == "gemini":
            object.__setattr__(self, "model", DEFAULT_MODELS["gemini"])
        return self

    @model_validator(mode="after")
    def _left_to_the_server(self) -> Settings:
        if self.server is not None and (given := in_the_way(self)):
            raise ValueError(f"VEO3_SERVER={self.server}: {'; '.join(given)}. Unset one or the other.")
        return self

    @model_validator(mode="after")
    def _on_several_machines(self) -> Settings:
        if self.database is not None and (given := database_choice.in_the_way(self)):
            raise ValueError(
                f"VEO3_DATABASE={shown_address(self.database)}: {'; '.join(given)}. Unset one or the other."
            )
        return self

    @model_validator(mode="after")
    def _within_reach(self) -> Settings:
        # A video's part has the longest name: that of the video and 24 signs more. The journal needs less.
        room = 120 if self.name == file_names.DEFAULT else file_names.LONGEST + 40
        object.__setattr__(self, "output_dir", reachable(self.output_dir, room))
        if isinstance(self.journal, Path):
            object.__setattr__(self, "journal", reachable(self.journal, room))
        return self

    @model_validator(mode="after")
    def _burst_within_limit(self) -> Settings:
        if self.burst is not None and self.burst > (limit := self.rate(self.model).limit):
            raise ValueError(
                f"VEO3_BURST={self.burst} is over the rate limit of {limit}: allowed are 1 to {limit}. "
                "Lower VEO3_BURST or raise VEO3_RATE_LIMIT."
            )
        return self

    def rate(self, model: str) -> Rate:
        """The token bucket and window of `model`: as set, else its usual quota, else 10 a minute."""
        per_minute = self.model_catalog.requests_per_minute(model)
        return rate_of(self.rate_limit, self.rate_period, self.burst, usual_per_minute=per_minute)

    def labels_of(self, prompt: VideoPrompt) -> dict[str, str]:
        """The labels that go out with `prompt`. Raises ValueError if Google would not take them."""
        return labels.of_request(
            self.labels, prompt.labels, project_label=self.project_label, project_id=prompt.project_id
        )

    @property
    def secrets(self) -> list[SecretStr]:
        """The keys and passwords in these settings, which nothing that is shown may hold."""
        database = [] if self.database is None else passwords_in(self.database.get_secret_value())
        return [*(key for key in (self.api_key, self.server_key, self.mcp_token) if key), *map(SecretStr, database)]

    @property
    def model_catalog(self) -> Catalog:
        """What is known of the models: the catalog that ships with this release, and `VEO3_CATALOG`."""
        return catalog.load(self.catalog)

    @property
    def journal_path(self) -> Path | None:
        """Where the file of the journal is; None for a run without one."""
        return self.output_dir / JOURNAL if self.journal == "auto" else self.journal

    def backend_name(self) -> ChosenBackend:
        """Which backend these settings choose. Raises `UsageError` naming the three ways if none is possible."""
        return self.backend_choice()[0]

    def backend_choice(self) -> tuple[ChosenBackend, str]:
        """The backend and the reason for it, as `backend_name` chooses it."""
        name, why = self._choice()
        if name is None:
            raise UsageError(NO_BACKEND)
        return name, why

    def _choice(self) -> tuple[ChosenBackend | None, str]:
        return choose(
            server=self.server,
            mock_mode=self.mock_mode,
            backend=self.backend,
            use_vertex=self.use_vertex,
            project=self.project,
            has_key=bool(self.api_key),  # not one that is empty
        )

    @classmethod
    def sources(cls, field: str) -> list[str]:
        """Where values of `field` stand, in words without the values. The first counts when no argument is given."""
        return environment.sources(field, cls.model_fields[field])

    @staticmethod
    def gcloud_login() -> Path:
        """The file where `gcloud auth application-default login` leaves a login, whether or not it is there."""
        return environment.gcloud_login()

    @classmethod
    def origins(cls) -> dict[str, str]:
        """Where each field's value comes from when no argument is given: default, .env or environment."""
        return environment.origins(cls.model_fields)


def describe() -> Iterator[Variable]:
    """Every setting with its variable, default, allowed values and meaning, in the order they are declared."""
    return environment.describe(Settings.model_fields)


def on_this_machine(url: str | None) -> bool:
    """True if `url` is that of a server here: no proxies are asked for it, and it asks for no credentials."""
    return urlsplit(url or "").hostname in ("127.0.0.1", "::1", "localhost")


def check_alive(settings: Settings) -> None:
    """Raise `UsageError` naming the replacement if Google has shut the model of `settings` down."""
    if (gone := settings.model_catalog.retired.get(settings.model)) is not None:
        raise UsageError(f"VEO3_MODEL={settings.model} was retired by Google on {gone.on}: use {gone.replacement}.")
