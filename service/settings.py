"""Settings of the service: environment variables `STREAMREC_*`, and `REDIS_URL`."""

from __future__ import annotations

from pathlib import Path

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.event_weights import EventWeights


class Settings(BaseSettings):
    """How one service runs; the bundle decides how it recommends."""

    model_config = SettingsConfigDict(
        env_prefix="STREAMREC_",
        env_ignore_empty=True,
        populate_by_name=True,
        frozen=True,
        extra="forbid",
    )

    bundle: Path = Field(description="Bundle directory that `streamrec export` wrote.")
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    workers: int = Field(1, ge=1, description="Server processes; they share one Redis.")

    redis_url: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("REDIS_URL", "STREAMREC_REDIS_URL"),
        description="Redis server; without it the service starts one of its own.",
    )
    redis_folder: Path = Field(
        Path("redis"), description="Where the service's own Redis keeps its data."
    )
    redis_timeout: float = Field(0.5, gt=0, description="Seconds until a Redis call is given up.")
    redis_connections: int = Field(64, ge=1, description="Redis connections of each worker.")

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
    explanation_ttl: int = Field(
        3_600,
        ge=1,
        description="Seconds for which a recommendation can be explained and clicks on it count.",
    )

    page: bool = Field(
        True, description="Serve the page at / and the API's documentation at /docs and /redoc."
    )
    page_users: str = Field(
        "", description="Users that the page offers to pick from, separated by commas."
    )

    queue_size: int = Field(128, ge=1, description="Requests that may wait for the model.")
    max_batch: int = Field(16, ge=1, description="Requests that the model answers together.")
    intra_op_threads: int = Field(
        1,
        ge=1,
        description="Threads of ONNX Runtime and numpy, which ignore container limits by themselves.",
    )
    max_body_bytes: int = Field(1_048_576, ge=1_024, description="Largest accepted request body.")
    drain_seconds: int = Field(10, ge=1, description="Time for running requests at shutdown.")

    @field_validator("event_weights")
    @classmethod
    def _weights(cls, text: str) -> str:
        EventWeights.parse(text)
        return text

    def environment(self) -> dict[str, str]:
        """The environment variables from which a worker process reads these same settings."""
        values = self.model_dump(exclude_none=True, exclude={"redis_url"})
        named = {f"STREAMREC_{name.upper()}": str(value) for name, value in values.items()}
        if self.redis_url is not None:
            named["REDIS_URL"] = self.redis_url.get_secret_value()
        return named
