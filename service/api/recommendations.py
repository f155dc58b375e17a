"""Recommend and explain."""

from __future__ import annotations

from fastapi import APIRouter

from service.api.deps import Recommend
from service.api.errors import problems
from service.api.explanation import Explanation
from service.api.schemas import Recommendation, RecommendRequest
from service.api.types import PathId

router = APIRouter(tags=["recommendations"])


@router.post("/recommend", responses=problems(503))
async def recommend(request: RecommendRequest, recommender: Recommend) -> Recommendation:
    """The items that this user, or this history, is recommended."""
    return await recommender.recommend(request)


@router.post("/explain", responses=problems(503))
async def explain(request: RecommendRequest, recommender: Recommend) -> Explanation:
    """Recommend, and return how the answer came about."""
    explained = request.model_copy(update={"explain": True})
    recommendation = await recommender.recommend(explained)
    assert recommendation.explanation is not None
    return recommendation.explanation


@router.get("/explain/{recommendation_id}", responses=problems(404, 503))
async def explanation(recommendation_id: PathId, recommender: Recommend) -> Explanation:
    """How the recommendation with this id came about, for as long as it is recorded."""
    return await recommender.explanation(recommendation_id)
