"""The page: its files, and the headers that keep anything else from running in it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

FOLDER = Path(__file__).parent.parent / "page"
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class Page:
    """The files of the page, read once.

    Args:
        users: ids that the page offers to pick from, separated by commas.
    """

    def __init__(self, users: str) -> None:
        self._files = {
            path.name: path.read_bytes() for path in FOLDER.iterdir() if path.suffix in TYPES
        }
        self.users = [user.strip() for user in users.split(",") if user.strip()]

    def response(self, request: Request, name: str) -> Response:
        """One file, or 304 where the browser has it already.

        Raises:
            HTTPException: the page has no such file.
        """
        content = self._files.get(name)
        if content is None:
            raise HTTPException(404)
        tag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
        headers = HEADERS | {"ETag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, 200, headers, TYPES[Path(name).suffix])


async def page_of(request: Request) -> Page | None:
    """The page, or None where it is switched off."""
    page: Page | None = request.app.state.page
    return page


def shows_answer(request: HTTPConnection) -> bool:
    """Whether a request gets the page where an answer is explained.

    The page itself says nothing of the answer: it needs no key, and asks for the answer with its own.
    """
    return (
        request.app.state.page is not None
        and request.scope["method"] == "GET"
        and request.scope["path"].startswith("/explain/")
        and prefers_html(request.headers.get("accept", ""))
    )


def prefers_html(accept: str) -> bool:
    """Whether an Accept header ranks HTML before JSON, as those of browsers do."""
    quality = {"text/html": 0.0, "application/json": 0.0, "*/*": 0.0}
    for part in accept.split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        weights = [value[2:] for value in parameters if value.startswith("q=")]
        try:
            quality[kind.lower()] = float(weights[0]) if weights else 1.0
        except ValueError:
            continue
    return quality["text/html"] > max(quality["application/json"], quality["*/*"])


router = APIRouter(include_in_schema=False)
ServedPage = Annotated[Page, Depends(page_of)]


@router.get("/")
def index(request: Request, page: ServedPage) -> Response:
    """The page."""
    return page.response(request, "index.html")


@router.get("/page/users.json")
def users(page: ServedPage) -> list[str]:
    """Users to pick from."""
    return page.users


@router.get("/page/{name}")
def file(name: str, request: Request, page: ServedPage) -> Response:
    """A file of the page."""
    return page.response(request, name)
