"""Bodies that explain: why these items, and how the reasoning went."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

ReasonKind = Literal["rests_on", "follows", "similar", "reasoned", "fits", "popular"]


class Reason(BaseModel):
    """Why an item is recommended."""

    kind: ReasonKind = Field(
        description="`rests_on`: without these it would be less likely, as measured for an "
        "explanation; `follows`: others went on to it; `similar`: it reads like something in the "
        "history; `reasoned`: the reasoning lifted it; `fits`: the network alone found it; "
        "`popular`: nothing is known of the user."
    )
    text: str = Field(examples=["often follows “Canon EOS R50”"])
    item_ids: list[str] = Field(
        description="Items of the history that the reason rests on.", examples=[["camera-017"]]
    )


class NamedItem(BaseModel):
    """An item and what a person calls it."""

    item_id: str = Field(examples=["camera-017"])
    title: str = Field(description="The title, or the id where there is none.")


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

    share: float = Field(ge=0, le=1, description="Share of the attention in this step.")


class MovedItem(NamedItem):
    """An item near the top after a step."""

    rank: int = Field(ge=1)
    previous_rank: int | None = Field(
        description="Rank one step earlier; null where it was not near the top."
    )


class WrittenCode(BaseModel):
    """A code of a semantic ID as a thought."""

    level: int = Field(ge=0, description="0 is the coarsest level.")
    code: int = Field(ge=0)
    label: str = Field(
        description="What the items under this code have in common.", examples=["tripods, supports"]
    )
    probability: float = Field(ge=0, le=1)


class ReasoningStep(BaseModel):
    """One step of the reasoning; step 0 is the impression before any thought."""

    step: int = Field(ge=0)
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
        ge=0, description="Cosine distance between the state and the final state."
    )


class ExplainedItem(NamedItem):
    """A recommended item, how it rose, and why it is there."""

    rank: int = Field(ge=1)
    score: float
    ranks_by_step: list[int] = Field(description="Its rank after each step, from step 0.")
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

    recommendation_id: str
    model_version: str
    created_at: datetime
    reasoning_steps: int = Field(ge=0)
    degraded: bool
    summary: str = Field(
        description="The answer in a sentence.",
        examples=["After 4 steps of thinking, the answer rests most on “Canon EOS R50”."],
    )
    history: list[HistoryItem] = Field(description="What the model read, oldest first.")
    steps: list[ReasoningStep] = Field(description="Empty where no model was asked.")
    items: list[ExplainedItem]
