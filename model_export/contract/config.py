"""What a bundle says of its model and of how a request is answered."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Effort = Literal["fast", "balanced", "deep"]


class StrictModel(BaseModel):
    """Immutable settings in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AttentionConfig(StrictModel):
    """Shape of a network that attends."""

    d_model: int = Field(64, ge=4, description="Width of every hidden vector.")
    heads: int = Field(2, ge=1, description="Attention heads; must divide d_model.")

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.d_model % self.heads:
            raise ValueError(f"heads {self.heads} must divide d_model {self.d_model}")
        return self


class ModelConfig(AttentionConfig):
    """Shape of the encoder–decoder."""

    encoder_layers: int = Field(1, ge=1)
    decoder_layers: int = Field(1, ge=1)
    feedforward: int = Field(128, ge=4, description="Width inside each feed-forward block.")
    max_history: int = Field(50, ge=1, description="Most recent items of a history that are read.")
    max_steps: int = Field(4, ge=1, description="Reasoning steps that the decoder can take (l).")
    dropout: float = Field(0.3, ge=0, lt=1)


class DeliberationConfig(AttentionConfig):
    """Shape of the deliberation over candidates."""

    candidates: int = Field(100, ge=1, description="Items that are weighed again.")
    d_model: int = Field(48, ge=4)
    heads: int = Field(4, ge=1, description="Attention heads; must divide d_model.")
    thoughts: int = Field(4, ge=1, description="Thought vectors that read the candidates.")
    dropout: float = Field(0.1, ge=0, lt=1)


class EvidenceConfig(StrictModel):
    """Neighbour tables."""

    window: int = Field(5, ge=1, description="Steps within which one item follows another.")
    wide_window: int = Field(20, ge=1, description="The same for the `wide` table.")
    wide_fading: float = Field(
        0.5, ge=0, description="A pair `gap` steps apart counts gap ** -wide_fading there."
    )
    shrink: float = Field(60.0, ge=0, description="Damps what was seen only once or twice.")
    neighbours: int = Field(100, ge=1, description="Neighbours kept per item in each table.")
    hop: int = Field(20, ge=1, description="Neighbours followed on each hop of a two-hop path.")


class Efforts(StrictModel):
    """Reasoning steps for each named effort."""

    fast: int = Field(0, ge=0)
    balanced: int = Field(2, ge=0)
    deep: int = Field(4, ge=0)

    def steps(self, effort: Effort) -> int:
        """Reasoning steps of a named effort."""
        steps: int = getattr(self, effort)
        return steps


class InferenceConfig(StrictModel):
    """How a request is answered unless it says otherwise."""

    efforts: Efforts = Efforts()
    beams: int = Field(20, ge=1, description="Beam width of the generative search.")
    exact_items: int = Field(
        100_000, ge=0, description="Catalogues of more items get an index, and are read in part."
    )
    read_items: int = Field(
        8_000,
        ge=1,
        description="Items around a state that are compared with it through the index; more under a filter.",
    )
