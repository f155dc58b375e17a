"""What can go wrong while a request is answered.

StreamRecError
└── ServiceError
    ├── OverloadedError   the queue in front of the model is full
    ├── StoreError        Redis did not answer, or refused
    ├── NotReadyError     the service cannot take traffic yet
    ├── NotFoundError     nothing is known under the id that was asked for
    ├── ConflictError     what is asked for does not go with what is there
    ├── BundleRefusedError  a bundle cannot replace the one in use
    └── StartError        the service cannot start

The table that turns them into HTTP answers is in service/api/errors.py.
"""

from __future__ import annotations

from model_export.contract.errors import StreamRecError


class ServiceError(StreamRecError):
    """One sentence for the caller; never holds a path, a secret or a history."""


class OverloadedError(ServiceError):
    """More requests wait than the service admits."""


class StoreError(ServiceError):
    """Redis did not answer in time, or refused; nothing was acknowledged."""


class NotReadyError(ServiceError):
    """The service is up but must not get traffic; `reasons` says why."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("the service is not ready: " + "; ".join(reasons))
        self.reasons = reasons


class NotFoundError(ServiceError):
    """No item or recommendation has this id (any more)."""


class BundleRefusedError(ServiceError):
    """A bundle cannot be used; the model in use stays."""


class ConflictError(ServiceError):
    """What is asked for cannot be done as things stand."""


class StartError(ServiceError):
    """The service cannot start as configured."""
