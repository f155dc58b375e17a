"""What becomes of events, however they arrive: checked, stored, counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress

from pydantic import ValidationError

from model_export.contract.validation import problems_of
from service.api.schemas import Event, EventsReceipt, RejectedEvent
from service.errors import StoreError
from service.event_weights import EventWeights
from service.state import ServiceState
from service.stores import histories
from service.stores.histories import Interaction, now_ms


async def take_in(events: Sequence[object], service: ServiceState) -> EventsReceipt:
    """Store events in the order given; what is no valid Event is rejected, the others stored.

    Raises:
        StoreError: some may not have been stored; take the same events in again. Those with an
            `event_id` are then stored once.
    """
    by_user: dict[str, list[histories.Event]] = defaultdict(list)
    rejected: list[RejectedEvent] = []
    for index, event in enumerate(events):
        if isinstance(event, Event):
            by_user[event.user_id].append(_stored(event, service.weights))
        else:
            rejected.append(RejectedEvent(index=index, problem=_problem(event)))
    stored = await service.histories.append_all(by_user)
    await _count_clicks(events, service)
    named = dict.fromkeys(event.item_id for event in events if isinstance(event, Event))
    receipt = EventsReceipt(
        accepted=stored,
        duplicates=len(events) - len(rejected) - stored,
        rejected=rejected,
        unknown_items=service.model.items.catalog.split_known(named)[1],
    )
    for result in ("accepted", "duplicates"):
        service.metrics.events.labels(result).inc(getattr(receipt, result))
    service.metrics.events.labels("rejected").inc(len(rejected))
    return receipt


async def _count_clicks(events: Sequence[object], service: ServiceState) -> None:
    """Report the clicks among stored events; an event of weight 0 is none."""
    clicks = [
        (event.recommendation_id, event.item_id)
        for event in events
        if isinstance(event, Event)
        and event.recommendation_id is not None
        and service.weights.of(event.event_type)
    ]
    with suppress(StoreError):  # counted as such; the events are stored all the same
        for served in await service.recommendations.click(clicks):
            service.metrics.clicks.labels(served.model_version, served.effort).inc()


def _stored(event: Event, weights: EventWeights) -> histories.Event:
    at = now_ms() if event.timestamp is None else int(event.timestamp.timestamp() * 1000)
    interaction = Interaction(event.item_id, at, event.event_type)
    return histories.Event(interaction, event.event_id, beside=not weights.of(event.event_type))


def _problem(event: object) -> str:
    try:
        Event.model_validate(event)
    except ValidationError as error:
        return problems_of(error, Event, "event")
    raise AssertionError("a valid event was not read as one")
