"""Settings of the service for a command: what is given, then STREAMREC_* and REDIS_URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.settings import Settings


def service_settings(**given: object) -> Settings:
    """The settings.

    Raises:
        ConfigError: names every setting that is wrong.
    """
    from pydantic import ValidationError

    from model_export.contract.errors import ConfigError
    from model_export.contract.validation import problems_of
    from service.settings import Settings

    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        raise ConfigError(f"settings of the service: {problems_of(error)}") from error
