"""Settings of the service for a command: what is given, then STREAMREC_* and REDIS_URL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.settings import Settings


def service_settings(**given: object) -> Settings:
    """The settings.

    Raises:
        ConfigError: names every variable that is wrong, and no value that may be a secret.
    """
    from pydantic import ValidationError

    from model_export.contract.errors import ConfigError
    from model_export.contract.validation import message_of
    from service.settings import Settings, variable

    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        problems = "; ".join(
            f"{variable(str(found['loc'][0]).lower())}: {message_of(found, Settings, found['loc'])}"
            for found in error.errors()
        )
        raise ConfigError(f"{problems}; docs/operations.md lists every setting") from error


def misspelt(variables: Iterable[str]) -> Iterator[str]:
    """A sentence for every STREAMREC_ variable that no setting has the name of."""
    from service.settings import PREFIX, Settings
    from streamrec.outcome import DEBUG

    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | {DEBUG}
    for name in variables:
        if name.startswith(PREFIX) and name not in known:
            alike = get_close_matches(name, known, 1)
            meant = f"; did you mean {alike[0]}?" if alike else ""
            yield f"{name} is no setting of the service and does nothing{meant}"
