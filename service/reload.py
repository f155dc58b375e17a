"""Replacing the model while it answers: load, verify, warm, swap; on any failure the old one stays."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

from model_export.contract.errors import BundleError
from service.errors import BundleRefusedError
from service.model import LoadedModel
from service.settings import Settings
from service.state import ServiceState

Fingerprint = tuple[tuple[str, int, int, int], ...]

log = structlog.get_logger("streamrec.reload")


class Reloader:
    """Keeps the model in use in step with its bundle path.

    Every worker has one and looks for itself, so all of them follow a changed bundle.

    Args:
        state: whose model is replaced.
        settings: where the bundle is, and how often to look.
        load: verifies, loads and warms a bundle.
        loaded: fingerprint of the bundle when the model in use was about to be loaded.
    """

    def __init__(
        self,
        state: ServiceState,
        settings: Settings,
        load: Callable[[Settings], LoadedModel],
        loaded: Fingerprint,
    ) -> None:
        self._state = state
        self._settings = settings
        self._load = load
        self._loaded = self._tried = loaded
        self._one_at_a_time = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()

    async def watch(self) -> None:
        """Reload whenever the bundle has changed and then held still; runs until cancelled."""
        before = self._tried
        while True:
            await asyncio.sleep(self._settings.bundle_poll)
            try:
                now = await asyncio.to_thread(fingerprint, self._settings.bundle)
                if now == before and now != self._tried:
                    with suppress(BundleRefusedError):
                        await self.reload()
                before = now
            except Exception:
                log.exception("the bundle could not be looked at")

    async def reload(self) -> bool:
        """Use what the bundle path holds now; False where that is in use already.

        Requests that run keep the model that they began with.

        Raises:
            BundleRefusedError: it cannot be used; the model in use stays.
        """
        async with self._one_at_a_time:
            self._tried = await asyncio.to_thread(fingerprint, self._settings.bundle)
            if self._tried == self._loaded:
                self._state.bundle_problem = None
                return False
            try:
                model = await asyncio.to_thread(self._load_unmoved, self._tried)
            except Exception as error:
                # ONNX Runtime and numpy raise whatever they like for a file that only looks right.
                raise self._refused(error) from error
            await self._swap(model)
            self._loaded = self._tried
            return True

    async def stop(self) -> None:
        """Wait until every replaced model has answered its last request."""
        await asyncio.gather(*self._retiring)

    def _load_unmoved(self, before: Fingerprint) -> LoadedModel:
        model = self._load(self._settings)
        if fingerprint(self._settings.bundle) != before:
            raise BundleError("it changed while it was being loaded")
        return model

    async def _swap(self, model: LoadedModel) -> None:
        state, old = self._state, self._state.model
        await state.live.try_refresh(model)  # what it is not given now it gets later
        await model.start()
        state.model, state.bundle_problem = model, None
        if old.version != model.version:
            state.metrics.model_info.labels(old.version).set(0)
        state.metrics.model_info.labels(model.version).set(1)
        state.metrics.reloads.labels("loaded").inc()
        log.info("model replaced", model_version=model.version, replaced=old.version)
        task = asyncio.create_task(_retire(old), name="retire-model")
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    def _refused(self, error: Exception) -> BundleRefusedError:
        state = self._state
        reason = "its files cannot be read"
        if isinstance(error, BundleError):
            path = self._settings.bundle
            reason = str(error).replace(f"bundle {path}", "it").replace(str(path), "it")
        state.bundle_problem = (
            f"the bundle was refused: {reason}; model {state.model.version} stays in use"
        )
        state.metrics.reloads.labels("refused").inc()
        log.error("bundle refused", reason=str(error), model_version=state.model.version)
        return BundleRefusedError(state.bundle_problem)


def fingerprint(bundle: Path) -> Fingerprint:
    """Changes whenever a file of the bundle is replaced, written to, added or removed."""
    found = []
    folder = bundle.resolve()
    for parent, folders, files in os.walk(folder):  # whose errors pass, where rglob raises
        for path in (Path(parent, name) for name in (*folders, *files)):
            with suppress(OSError):  # it may go away meanwhile
                about = path.stat()
                name = path.relative_to(folder).as_posix()
                found.append((name, about.st_ino, about.st_size, about.st_mtime_ns))
    return tuple(sorted(found))


async def _retire(model: LoadedModel) -> None:
    await model.requests.ended()
    await model.stop()
    gc.unfreeze()  # so that its turn to be collected comes
    del model
    gc.collect()
    gc.freeze()
