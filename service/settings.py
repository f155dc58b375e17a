"""Settings of the service: environment variables `STREAMREC_*`, and `REDIS_URL`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.event_weights import EventWeights

PREFIX = "STREAMREC_"


def variable(setting: str) -> str:
    """The environment variable of a setting."""
    return "REDIS_URL" if setting == "redis_url" else f"{PREFIX}{setting.upper()}"


class Settings(BaseSettings):
    """How one service runs; the bundle decides how it recommends."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        populate_by_name=True,
        frozen=True,
        extra="forbid",
    )

    bundle: Annotated[Path, AfterValidator(Path.absolute)] = Field(
        description="Bundle directory that `streamrec export` wrote."
    )
    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for all.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 for a free one.")
    workers: int = Field(1, ge=1, description="Server processes; they share one Redis.")

    redis_url: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("REDIS_URL", "STREAMREC_REDIS_URL"),
        description="Redis, Sentinels or a Redis Cluster (docs/scaling.md); without it the service starts "
        "a Redis of its own.",
    )
    redis_folder: Path = Field(
        Path("redis"), description="Where the service's own Redis keeps its data."
    )
    redis_timeout: float = Field(0.5, gt=0, description="Seconds until a Redis call is given up.")
    redis_connections: int = Field(
        64,
        ge=1,
        description="Redis connections of each worker, beside the one that requests share.",
    )

    history_cap: int = Field(200, ge=1, description="Most recent events kept of each user.")
    history_ttl: int | None = Field(
        None, ge=1, description="Seconds until the history of an inactive user is forgotten."
    )
    event_id_ttl: int = Field(
        86_400, ge=1, description="Seconds for which a repeated event_id is recognised."
    )
    event_weights: str = Field(
        "",
        description="How much each type of event counts, such as purchase=3,view=1,impression=0; "
        "1 if not named, 0 keeps a type out of histories.",
    )
    event_stream: str = Field(
        "", description="Key of a Redis stream from which events are taken in; none if empty."
    )
    event_group: str = Field(
        "streamrec", min_length=1, description="Consumer group that shares the stream's events."
    )
    explanation_ttl: int = Field(
        3_600,
        ge=1,
        description="Seconds for which a recommendation can be explained and clicks on it count.",
    )

    max_added_items: int = Field(
        10_000, ge=0, description="Items that may be added while the service runs."
    )
    learn_from_events: bool = Field(
        True, description="Learn what follows what from events, and not at the next training only."
    )
    memory_half_life: float = Field(
        30, ge=7, description="Days in which what was learnt from events fades to half."
    )
    memory_followers: int = Field(
        100,
        ge=1,
        le=1_000,
        description="Followers that are learnt of each item, the most frequent.",
    )
    memory_items: int = Field(
        100_000, ge=1, description="Items whose followers are learnt, those with the latest events."
    )

    page: bool = Field(True, description="Serve the page at /.")
    page_users: str = Field(
        "", description="Users that the page offers to pick from, separated by commas."
    )

    docs: bool = Field(
        True, description="Serve the API's documentation: /docs, /redoc and /openapi.json."
    )

    api_keys: SecretStr | None = Field(
        None,
        description="API keys as NAME:SCOPES:KEY, separated by spaces; SCOPES are read, write and "
        "admin, joined by +. With any key configured every call but the probes needs one.",
    )
    api_keys_file: Path | None = Field(
        None, description="File of further API keys, one a line; lines that begin with # are none."
    )
    rate_limit: float | None = Field(
        None, gt=0, description="Requests a second of each key, or of each address without a key."
    )
    rate_burst: int = Field(
        20, ge=1, description="Requests that may come at once before the rate limit holds them up."
    )
    cors_origins: str = Field(
        "", description="Origins whose pages may call the service, separated by commas; or *."
    )

    bundle_poll: float = Field(
        1.0, gt=0, description="Seconds between looks at the bundle, which is loaded once changed."
    )

    queue_size: int = Field(
        32,
        ge=1,
        description="Requests that may wait for the model; more would only wait longer.",
    )
    max_batch: int = Field(16, ge=1, description="Requests that the model answers together.")
    intra_op_threads: int = Field(
        1,
        ge=1,
        description="Threads of ONNX Runtime and numpy, which ignore container limits by themselves.",
    )
    max_body_bytes: int = Field(1_048_576, ge=1_024, description="Largest accepted request body.")
    body_seconds: float = Field(10.0, gt=0, description="Time for the body of a request to arrive.")
    drain_seconds: int = Field(10, ge=1, description="Time for running requests at shutdown.")

    @field_validator("event_weights")
    @classmethod
    def _weights(cls, text: str) -> str:
        EventWeights.parse(text)
        return text

    def environment(self) -> dict[str, str]:
        """The environment variables from which a worker process reads these same settings."""
        values = self.model_dump(exclude_none=True)
        return {
            variable(name): (
                value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            )
            for name, value in values.items()
        }
