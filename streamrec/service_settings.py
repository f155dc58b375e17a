"""Settings of the service for a command: what is given, then STREAMREC_* and REDIS_URL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.settings import Settings

PREFIX = "STREAMREC_"


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
        raise ConfigError(f"settings of the service: {problems_of(error, Settings)}") from error


def misspelt(variables: Iterable[str]) -> Iterator[str]:
    """A sentence for every STREAMREC_ variable that no setting has the name of."""
    from service.settings import Settings
    from streamrec.outcome import DEBUG

    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | {DEBUG}
    for name in variables:
        if name.startswith(PREFIX) and name not in known:
            alike = get_close_matches(name, known, 1)
            meant = f"; did you mean {alike[0]}?" if alike else ""
            yield f"{name} is no setting of the service and does nothing{meant}"
