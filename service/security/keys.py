"""API keys: each has a name, scopes, and a secret that is kept as a digest and never shown."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from service.errors import StartError
from service.settings import Settings

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

_ENTRY = re.compile(r"(?P<name>[\w.-]{1,64}):(?P<scopes>[a-z+]+):(?P<key>[\w.~+/=-]{16,512})", re.A)


@dataclass(frozen=True)
class ApiKey:
    """A key that was configured.

    Attributes:
        name: tells keys apart in the log and in rate limits.
        scopes: what it allows.
        digest: SHA-256 of the secret.
    """

    name: str
    scopes: frozenset[str]
    digest: bytes


class ApiKeys:
    """All keys that were configured; false where there are none."""

    def __init__(self, keys: Iterable[ApiKey] = ()) -> None:
        self._keys = tuple(keys)

    def __bool__(self) -> bool:
        return bool(self._keys)

    def find(self, secret: str) -> ApiKey | None:
        """The key with this secret. Takes as long whichever key it is, and if it is none."""
        digest = _digest(secret)
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found

    @classmethod
    def of(cls, settings: Settings) -> ApiKeys:
        """The keys of `STREAMREC_API_KEYS` and of the file that `STREAMREC_API_KEYS_FILE` names.

        Raises:
            StartError: an entry is wrong, two share a name, or the file cannot be read.
        """
        keys: dict[str, ApiKey] = {}
        for source, entries in _sources(settings).items():
            for number, entry in enumerate(entries, start=1):
                key = _key(f"{source}, entry {number}", entry)
                if key.name in keys:
                    raise StartError(f"{source}: two keys are named {key.name!r}; rename one")
                keys[key.name] = key
        return cls(keys.values())


def presented(headers: Mapping[str, str]) -> str | None:
    """The secret that a request brings: `Authorization: Bearer …` or `X-API-Key: …`."""
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and secret:
        return secret.strip()
    return headers.get("x-api-key")


def _sources(settings: Settings) -> dict[str, list[str]]:
    sources: dict[str, list[str]] = {}
    if settings.api_keys is not None:
        sources["STREAMREC_API_KEYS"] = settings.api_keys.get_secret_value().split()
    if settings.api_keys_file is not None:
        try:
            lines = settings.api_keys_file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise StartError(
                f"the file of API keys {settings.api_keys_file} cannot be read"
            ) from error
        entries = [line.strip() for line in lines]
        kept = [line for line in entries if line and not line.startswith("#")]
        sources[str(settings.api_keys_file)] = kept
    return sources


def _key(where: str, entry: str) -> ApiKey:
    read = _ENTRY.fullmatch(entry)
    scopes = frozenset(read["scopes"].split("+")) if read else frozenset()
    if not read or not scopes <= set(SCOPES):
        raise StartError(
            f"{where} is not NAME:SCOPES:KEY; scopes are {', '.join(SCOPES)}, joined by +, and a "
            "key has at least 16 letters, digits or any of ._~+/=-"
        )
    return ApiKey(read["name"], scopes, _digest(read["key"]))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
