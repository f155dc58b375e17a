"""Recommend and explain."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from service.api.deps import Recommend
from service.api.errors import problems
from service.api.explanation import Explanation
from service.api.page import Page, page_of, shows_answer
from service.api.schemas import Recommendation, RecommendRequest
from service.api.types import PathId

router = APIRouter(tags=["recommendations"])

_HTML: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/html": {"schema": {"type": "string"}}}}
}


@router.post("/recommend", responses=problems(503))
async def recommend(request: RecommendRequest, recommender: Recommend) -> Recommendation:
    """The items that this user, or this history, is recommended."""
    return await recommender.recommend(request)


@router.post("/explain", responses=problems(503))
async def explain(request: RecommendRequest, recommender: Recommend) -> Explanation:
    """Recommend, and return how the answer came about.

    What each history item did is measured by reasoning again without it, after `deadline_ms` too.
    """
    explained = request.model_copy(update={"explain": True})
    recommendation = await recommender.recommend(explained)
    assert recommendation["explanation"] is not None
    return recommendation["explanation"]


@router.get(
    "/explain/{recommendation_id}",
    response_model=Explanation,
    responses={**_HTML, **problems(404, 503)},
)
async def explanation(
    recommendation_id: PathId,
    request: Request,
    response: Response,
    recommender: Recommend,
    page: Annotated[Page | None, Depends(page_of)],
) -> Explanation | Response:
    """How the recommendation with this id came about, for as long as it is recorded.

    A browser gets the page, which asks for the JSON in turn; whoever does not prefer HTML to JSON gets JSON.
    """
    response.headers["Vary"] = "Accept"
    if page and shows_answer(request):
        html = page.response(request, "index.html")
        html.headers["Vary"] = "Accept"
        return html
    return await recommender.explanation(recommendation_id)
