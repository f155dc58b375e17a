"""Bodies that explain: why these items, and how the reasoning went."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field
from typing_extensions import TypedDict  # pydantic reads typing's from Python 3.12 on

ReasonKind = Literal["rests_on", "repeat", "follows", "similar", "reasoned", "fits", "popular"]
RecommendationId = Annotated[
    str,
    Field(
        description="Name it in events, and to `/explain`.",
        examples=["5f0c1e6a9b3d4c7e8f10a2b3"],
    ),
]
ModelVersion = Annotated[
    str,
    Field(
        description="Names the weights and tables that made the answer.",
        examples=["20260301-3fa9c2"],
    ),
]
Rank = Annotated[int, Field(ge=1, description="Place in the ranking; 1 is best.", examples=[1])]
Score = Annotated[
    float,
    Field(
        description="Orders the items of one answer; not comparable between answers.",
        examples=[2.31],
    ),
]
Steps = Annotated[int, Field(ge=0, description="Reasoning steps that were taken.", examples=[4])]


class Reason(TypedDict):
    """Why an item is recommended."""

    kind: Annotated[
        ReasonKind,
        Field(
            description="`rests_on`: without these it would be less likely, as measured for an "
            "explanation; `repeat`: the user had it before; `follows`: others went on to it; "
            "`similar`: it reads like something in the history; `reasoned`: the reasoning lifted it; "
            "`fits`: the network alone found it; `popular`: nothing is known of the user.",
            examples=["follows"],
        ),
    ]
    text: Annotated[
        str, Field(description="The reason in words.", examples=["often follows “Canon EOS R50”"])
    ]
    item_ids: Annotated[
        list[str],
        Field(
            description="Items of the history that the reason rests on.", examples=[["camera-017"]]
        ),
    ]


class NamedItem(BaseModel):
    """An item and what a person calls it."""

    item_id: str = Field(description="The external id.", examples=["camera-017"])
    title: str = Field(
        description="The title, or the id where there is none.", examples=["Canon EOS R50"]
    )


_INFLUENCE = (
    "ln(chance with this history item / chance without it): 0.69 means twice as likely with it, a "
    "negative value that it held back."
)


class HistoryItem(NamedItem):
    """An item of the history and what the answer owes to it."""

    influence: float | None = Field(
        description=f"Mean over the recommended items of {_INFLUENCE} Null where it was not "
        "measured: in long histories only the newest items are, and one item alone has no rival.",
        examples=[0.69],
    )


class StepInfluence(NamedItem):
    """An item of the history and what one step owes to it."""

    on_ranking: float = Field(
        description=f"Mean over the items on top after this step of {_INFLUENCE}", examples=[0.4]
    )
    on_code: float | None = Field(
        description=f"Of the code written: {_INFLUENCE} Null at step 0.", examples=[1.2]
    )


class ItemInfluence(NamedItem):
    """An item of the history and what one recommended item owes to it."""

    influence: float = Field(description=_INFLUENCE, examples=[0.69])
    rank_without: int = Field(
        ge=1, description="Rank of the recommended item without this history item.", examples=[14]
    )


class AttendedItem(NamedItem):
    """An item of the history that the network looked at; looking is not yet influence."""

    share: float = Field(
        ge=0, le=1, description="Share of the attention in this step.", examples=[0.41]
    )


class MovedItem(NamedItem):
    """An item near the top after a step."""

    rank: Rank
    previous_rank: int | None = Field(
        description="Rank one step earlier; null where it was not near the top.", examples=[3]
    )


class WrittenCode(BaseModel):
    """A code of a semantic ID as a thought."""

    level: int = Field(ge=0, description="0 is the coarsest level.", examples=[1])
    code: int = Field(ge=0, description="Number of the code in its level.", examples=[17])
    label: str = Field(
        description="What the items under this code have in common.", examples=["tripods, supports"]
    )
    probability: float = Field(
        ge=0, le=1, description="Its share among all codes that could be written.", examples=[0.62]
    )


class ReasoningStep(BaseModel):
    """One step of the reasoning; step 0 is the impression before any thought."""

    step: int = Field(
        ge=0, description="Number of the step; 0 is the first impression.", examples=[2]
    )
    summary: str = Field(
        description="The step in a sentence.",
        examples=["After “Canon EOS R50”, step 2 settled on tripods, supports (62%)."],
    )
    written: WrittenCode | None = Field(description="The code written in this step.")
    runners_up: list[WrittenCode] = Field(description="Codes that were nearly written.")
    nearest_items: list[NamedItem] = Field(description="Items nearest to the state, nearest first.")
    top_items: list[MovedItem] = Field(description="The ranking if thinking had stopped here.")
    influences: list[StepInfluence] = Field(
        description="What history items did in this step, oldest first."
    )
    attended: list[AttendedItem] = Field(description="History items looked at, most first.")
    distance_to_final: float = Field(
        ge=0, description="Cosine distance between the state and the final state.", examples=[0.13]
    )


class ExplainedItem(NamedItem):
    """A recommended item, how it rose, and why it is there."""

    rank: Rank
    score: Score
    ranks_by_step: list[int] = Field(
        description="Its rank after each step, from step 0.", examples=[[9, 4, 1, 1, 1]]
    )
    summary: str = Field(
        description="How it came to its place, in a sentence or two.",
        examples=[
            "Rose from rank 9 to 1 while thinking. Without “Canon EOS R50” it would be at rank 14."
        ],
    )
    influences: list[ItemInfluence] = Field(
        description="What each history item did for it, oldest first."
    )
    reasons: list[Reason] = Field(
        description="Those of the recommendation, after what was measured for the explanation."
    )


class Explanation(BaseModel):
    """How one recommendation came about."""

    recommendation_id: RecommendationId
    model_version: ModelVersion
    created_at: datetime = Field(
        description="When the answer was given.", examples=["2026-03-01T12:00:00Z"]
    )
    reasoning_steps: Steps
    degraded: bool = Field(
        description="True where the history store failed while the answer was made."
    )
    summary: str = Field(
        description="The answer in a sentence.",
        examples=["After 4 steps of thinking, the answer rests most on “Canon EOS R50”."],
    )
    history: list[HistoryItem] = Field(description="What the model read, oldest first.")
    steps: list[ReasoningStep] = Field(description="Empty where no model was asked.")
    items: list[ExplainedItem] = Field(description="The recommended items, best first.")
