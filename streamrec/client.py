"""A typed client of the service, for code that waits (`Client`) and code that awaits (`AsyncClient`).

    from streamrec.client import Client

    with Client("http://127.0.0.1:8000") as shop:
        shop.events({"user_id": "u-1", "item_id": "camera-017"})
        for item in shop.recommend(user_id="u-1", count=5).items:
            print(item.item_id, item.reasons[0].text)

Needs `pip install stream-rec[client]` and nothing of the service. What the service refuses is a
`ProblemError`; what does not reach it is an `httpx.HTTPError`. Nothing is sent twice: repeating a call
is the caller's choice, and safe for events that have an `event_id`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, Literal, NamedTuple, NotRequired, Self, TypedDict, TypeVar, Unpack
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from streamrec import answers

try:
    import httpx
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "the client needs httpx, which is not installed: pip install 'stream-rec[client]' "
        "(from a checkout: pip install '.[client]')",
        name=missing.name,
    ) from missing

Time = datetime | str | float
Answer = TypeVar("Answer")


class Seen(TypedDict):
    """An entry of an inline history."""

    item_id: str
    timestamp: NotRequired[Time]
    event_type: NotRequired[str]


class Categories(TypedDict, total=False):
    """Conditions on categories."""

    any: list[str]
    all: list[str]
    none: list[str]


class Filter(TypedDict, total=False):
    """Which items may be recommended."""

    include_items: list[str]
    exclude_items: list[str]
    categories: Categories
    available_only: bool


class Question(TypedDict, total=False):
    """What `recommend` and `explain` take."""

    user_id: str
    history: list[str | Seen]
    count: int
    effort: Literal["fast", "balanced", "deep"]
    reasoning_steps: int
    deadline_ms: int
    exclude_seen: bool
    filter: Filter
    diversity: float
    include_properties: bool
    explain: bool


class Event(TypedDict):
    """Something that a user did with an item."""

    user_id: str
    item_id: str
    event_id: NotRequired[str]
    timestamp: NotRequired[Time]
    event_type: NotRequired[str]
    recommendation_id: NotRequired[str]


class ItemFields(TypedDict, total=False):
    """What is to be known of an item; None takes a value away."""

    title: str | None
    categories: list[str] | None
    brand: str | None
    description: str | None
    available: bool | None
    properties: dict[str, Any] | None


class ProblemError(Exception):
    """The service refused.

    Attributes:
        problem: its problem document; `problem.errors` names every single thing that is wrong.
        retry_after: seconds after which trying again makes sense, if it does.
    """

    def __init__(self, problem: answers.Problem, retry_after: int | None) -> None:
        super().__init__(f"{problem.status} {problem.title}: {problem.detail}")
        self.problem = problem
        self.retry_after = retry_after


class _Call(NamedTuple, Generic[Answer]):
    """One call: how it is sent, and what comes back."""

    answer: type[Answer]
    method: str
    path: str
    body: object = None
    params: dict[str, str | int] | None = None

    def request(self) -> dict[str, Any]:
        content = None if self.body is None else to_json(self.body)
        headers = {"Content-Type": "application/json"} if content else {}
        return {
            "method": self.method,
            "url": self.path,
            "params": self.params,
            "content": content,
            "headers": headers | {"Accept": "application/json"},
        }

    def read(self, response: httpx.Response) -> Answer:
        if not response.is_success:
            raise _problem(response)
        return TypeAdapter(self.answer).validate_json(response.content or b"null")


def _problem(response: httpx.Response) -> ProblemError:
    try:
        problem = answers.Problem.model_validate_json(response.content)
    except ValidationError:  # not from the service, but from something in front of it
        title = response.reason_phrase or "Refused"
        problem = answers.Problem(title=title, status=response.status_code)
    after = response.headers.get("retry-after", "")
    return ProblemError(problem, int(after) if after.isdecimal() else None)


def _options(base_url: str, api_key: str | None, timeout: float) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    return {"base_url": base_url, "timeout": timeout, "headers": headers}


def _at(*parts: str) -> str:
    return "".join(f"/{_quoted(part)}" for part in parts)


def _quoted(part: str) -> str:
    # As they stand, these two would be steps of the path.
    return part.replace(".", "%2E") if part in (".", "..") else quote(part, safe="")


def _recommend(question: Question) -> _Call[answers.Recommendation]:
    return _Call(answers.Recommendation, "POST", "/recommend", question)


def _explain(question: Question) -> _Call[answers.Explanation]:
    return _Call(answers.Explanation, "POST", "/explain", question)


def _explanation(recommendation_id: str) -> _Call[answers.Explanation]:
    return _Call(answers.Explanation, "GET", _at("explain", recommendation_id))


def _events(events: tuple[Event, ...]) -> _Call[answers.Receipt]:
    return _Call(answers.Receipt, "POST", "/events", {"events": events})


def _items(query: str, limit: int) -> _Call[answers.Items]:
    return _Call(answers.Items, "GET", "/items", params={"query": query, "limit": limit})


def _item(item_id: str) -> _Call[answers.Item]:
    return _Call(answers.Item, "GET", _at("items", item_id))


def _similar(item_id: str, count: int) -> _Call[answers.SimilarItems]:
    path = _at("items", item_id, "similar")
    return _Call(answers.SimilarItems, "GET", path, params={"count": count})


def _popular(category: str | None, count: int) -> _Call[answers.PopularItems]:
    wanted: dict[str, str | int] = {"count": count} | ({"category": category} if category else {})
    return _Call(answers.PopularItems, "GET", "/popular", params=wanted)


def _put_item(item_id: str, fields: ItemFields) -> _Call[answers.Item]:
    return _Call(answers.Item, "PUT", _at("items", item_id), fields)


def _patch_item(item_id: str, fields: ItemFields) -> _Call[answers.Item]:
    return _Call(answers.Item, "PATCH", _at("items", item_id), fields)


def _delete_item(item_id: str) -> _Call[None]:
    return _Call(type(None), "DELETE", _at("items", item_id))


def _history(user_id: str) -> _Call[answers.History]:
    return _Call(answers.History, "GET", _at("users", user_id, "history"))


def _erase(user_id: str) -> _Call[None]:
    return _Call(type(None), "DELETE", _at("users", user_id))


class Client:
    """The service, for code that waits.

    Args:
        base_url: where the service is.
        api_key: sent as a bearer token, where the service asks for one.
        timeout: seconds until a call is given up.
    """

    def __init__(self, base_url: str, *, api_key: str | None = None, timeout: float = 10) -> None:
        self._http = httpx.Client(**_options(base_url, api_key, timeout))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def recommend(self, **question: Unpack[Question]) -> answers.Recommendation:
        """What this user, or this history, is recommended."""
        return self._send(_recommend(question))

    def explain(self, **question: Unpack[Question]) -> answers.Explanation:
        """Recommend, and tell how the answer came about."""
        return self._send(_explain(question))

    def explanation(self, recommendation_id: str) -> answers.Explanation:
        """How an earlier answer came about; a 404 once its record has expired."""
        return self._send(_explanation(recommendation_id))

    def events(self, *events: Event) -> answers.Receipt:
        """Store events, at most 1,000 a call; the receipt names those that were rejected."""
        return self._send(_events(events))

    def items(self, query: str = "", limit: int = 20) -> list[answers.Item]:
        """Items by their words, the most popular first."""
        return self._send(_items(query, limit)).items

    def item(self, item_id: str) -> answers.Item:
        """One item of the catalogue."""
        return self._send(_item(item_id))

    def similar(self, item_id: str, count: int = 10) -> list[answers.SimilarItem]:
        """The items most like this one."""
        return self._send(_similar(item_id, count)).items

    def popular(self, category: str | None = None, count: int = 10) -> list[answers.PopularItem]:
        """The most popular items, of one category or of all."""
        return self._send(_popular(category, count)).items

    def put_item(self, item_id: str, **fields: Unpack[ItemFields]) -> answers.Item:
        """Add an item, or replace what is known of it; it can be recommended at once."""
        return self._send(_put_item(item_id, fields))

    def patch_item(self, item_id: str, **fields: Unpack[ItemFields]) -> answers.Item:
        """Change what is given of an item, and leave the rest."""
        return self._send(_patch_item(item_id, fields))

    def delete_item(self, item_id: str) -> None:
        """Take an item out of the catalogue."""
        self._send(_delete_item(item_id))

    def history(self, user_id: str) -> list[answers.StoredEvent]:
        """What is stored of a user, oldest first."""
        return self._send(_history(user_id)).events

    def erase(self, user_id: str) -> None:
        """Forget a user."""
        self._send(_erase(user_id))

    def _send(self, call: _Call[Answer]) -> Answer:
        return call.read(self._http.request(**call.request()))


class AsyncClient:
    """The service, for code that awaits; the methods are those of `Client`.

    Args:
        base_url: where the service is.
        api_key: sent as a bearer token, where the service asks for one.
        timeout: seconds until a call is given up.
    """

    def __init__(self, base_url: str, *, api_key: str | None = None, timeout: float = 10) -> None:
        self._http = httpx.AsyncClient(**_options(base_url, api_key, timeout))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def recommend(self, **question: Unpack[Question]) -> answers.Recommendation:
        """What this user, or this history, is recommended."""
        return await self._send(_recommend(question))

    async def explain(self, **question: Unpack[Question]) -> answers.Explanation:
        """Recommend, and tell how the answer came about."""
        return await self._send(_explain(question))

    async def explanation(self, recommendation_id: str) -> answers.Explanation:
        """How an earlier answer came about; a 404 once its record has expired."""
        return await self._send(_explanation(recommendation_id))

    async def events(self, *events: Event) -> answers.Receipt:
        """Store events, at most 1,000 a call; the receipt names those that were rejected."""
        return await self._send(_events(events))

    async def items(self, query: str = "", limit: int = 20) -> list[answers.Item]:
        """Items by their words, the most popular first."""
        return (await self._send(_items(query, limit))).items

    async def item(self, item_id: str) -> answers.Item:
        """One item of the catalogue."""
        return await self._send(_item(item_id))

    async def similar(self, item_id: str, count: int = 10) -> list[answers.SimilarItem]:
        """The items most like this one."""
        return (await self._send(_similar(item_id, count))).items

    async def popular(
        self, category: str | None = None, count: int = 10
    ) -> list[answers.PopularItem]:
        """The most popular items, of one category or of all."""
        return (await self._send(_popular(category, count))).items

    async def put_item(self, item_id: str, **fields: Unpack[ItemFields]) -> answers.Item:
        """Add an item, or replace what is known of it; it can be recommended at once."""
        return await self._send(_put_item(item_id, fields))

    async def patch_item(self, item_id: str, **fields: Unpack[ItemFields]) -> answers.Item:
        """Change what is given of an item, and leave the rest."""
        return await self._send(_patch_item(item_id, fields))

    async def delete_item(self, item_id: str) -> None:
        """Take an item out of the catalogue."""
        await self._send(_delete_item(item_id))

    async def history(self, user_id: str) -> list[answers.StoredEvent]:
        """What is stored of a user, oldest first."""
        return (await self._send(_history(user_id))).events

    async def erase(self, user_id: str) -> None:
        """Forget a user."""
        await self._send(_erase(user_id))

    async def _send(self, call: _Call[Answer]) -> Answer:
        return call.read(await self._http.request(**call.request()))
