"""The network as five functions of named tensors: what is exported, and what evaluation runs.

Names and shapes are those of contract/graph_io.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model_export.contract.bundle import GraphName
from model_export.contract.graph_io import (
    ANSWER_INPUTS,
    ANSWER_OUTPUTS,
    CONSIDER_INPUTS,
    CONSIDER_OUTPUTS,
    DELIBERATE_INPUTS,
    DELIBERATE_OUTPUTS,
    ENCODE_INPUTS,
    ENCODE_OUTPUTS,
    THINK_INPUTS,
    THINK_OUTPUTS,
    trie_inputs,
)
from training.decoding import Step, TrieTensors, beam_search, first_step, next_step
from training.deliberation import Deliberator
from training.layers import additive_mask
from training.model import Cache, Context, StreamRec


def stack_cache(cache: Cache) -> tuple[Tensor, Tensor]:
    """Per-layer keys and values (B, P, d) as two tensors (B, L, P, d)."""
    return torch.stack([keys for keys, _ in cache], 1), torch.stack([v for _, v in cache], 1)


def split_cache(keys: Tensor, values: Tensor) -> Cache:
    """The inverse of `stack_cache`."""
    return list(zip(keys.unbind(1), values.unbind(1), strict=True))


class _Graph(nn.Module):
    def __init__(self, model: StreamRec) -> None:
        super().__init__()
        self.model = model

    def step_outputs(self, step: Step) -> tuple[Tensor, ...]:
        """What both `encode` and `think` tell of a step; the state carries the score's scale."""
        return (
            step.state * self.model.state_scale.exp(),
            self.model.token_logits(step.decoded),
            step.attention,
            step.thought,
            *stack_cache(step.cache),
        )

    def context(self, mask: Tensor, keys: Tensor, values: Tensor) -> Context:
        """The read history as `think` and `answer` get it back."""
        age = torch.arange(mask.shape[1], device=mask.device).flip(0)[None, :]
        bias = additive_mask(mask)[:, None, None, :] + self.model.decoder_age(age)
        unused = keys[:, 0, -1]  # only step 0 looks at the newest item
        return Context(split_cache(keys, values), bias, unused)


class Encode(_Graph):
    """Reads the history and takes step 0."""

    def forward(self, history: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        encoded = self.model.encode(history, mask)
        context = self.model.context(encoded, mask)
        step = first_step(self.model, context)
        return encoded, *stack_cache(context.cross), *self.step_outputs(step)


class Think(_Graph):
    """Writes one token and takes one more step."""

    def forward(
        self,
        token: Tensor,
        mask: Tensor,
        cross_keys: Tensor,
        cross_values: Tensor,
        past_thought: Tensor,
        past_keys_in: Tensor,
        past_values_in: Tensor,
    ) -> tuple[Tensor, ...]:
        context = self.context(mask, cross_keys, cross_values)
        before = Step(
            past_thought,
            past_thought,
            past_thought,
            split_cache(past_keys_in, past_values_in),
            past_thought,
        )
        return self.step_outputs(next_step(self.model, context, before, token))


class Answer(_Graph):
    """Searches the item's codes with a beam, inside the trie and the allowed items."""

    def __init__(self, model: StreamRec, beams: int) -> None:
        super().__init__(model)
        self.beams = beams

    def forward(
        self,
        mask: Tensor,
        cross_keys: Tensor,
        cross_values: Tensor,
        past_keys_in: Tensor,
        past_values_in: Tensor,
        allowed: Tensor,
        *tables: Tensor,
    ) -> tuple[Tensor, Tensor]:
        trie = TrieTensors(list(tables[0::3]), list(tables[1::3]), list(tables[2::3]))
        context = self.context(mask, cross_keys, cross_values)
        cache = split_cache(past_keys_in, past_values_in)
        return beam_search(self.model, context, cache, trie, self.beams, allowed)


class Consider(nn.Module):
    """Reads the candidates and their evidence before the first round."""

    def __init__(self, deliberator: Deliberator) -> None:
        super().__init__()
        self.deliberator = deliberator

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.deliberator.consider(*inputs)


class Deliberate(nn.Module):
    """One round over the candidates."""

    def __init__(self, deliberator: Deliberator) -> None:
        super().__init__()
        self.deliberator = deliberator

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.deliberator.weigh(*inputs)


def graphs_of(
    model: StreamRec, deliberator: Deliberator | None, beams: int
) -> dict[GraphName, tuple[nn.Module, tuple[str, ...], tuple[str, ...]]]:
    """Every graph with the names of its inputs and outputs."""
    tables = trie_inputs(model.vocabulary.levels)
    graphs: dict[GraphName, tuple[nn.Module, tuple[str, ...], tuple[str, ...]]] = {
        "encode": (Encode(model), ENCODE_INPUTS, ENCODE_OUTPUTS),
        "think": (Think(model), THINK_INPUTS, THINK_OUTPUTS),
        "answer": (Answer(model, beams), ANSWER_INPUTS + tables, ANSWER_OUTPUTS),
    }
    if deliberator:
        graphs["consider"] = (Consider(deliberator), CONSIDER_INPUTS, CONSIDER_OUTPUTS)
        graphs["deliberate"] = (Deliberate(deliberator), DELIBERATE_INPUTS, DELIBERATE_OUTPUTS)
    for graph, _, _ in graphs.values():
        graph.eval()
    return graphs


class TorchRunner:
    """Runs the graphs in torch, for evaluation during training (contract.reasoning.Runner)."""

    def __init__(self, model: StreamRec, deliberator: Deliberator | None, beams: int) -> None:
        self._graphs = graphs_of(model, deliberator, beams)
        self._device = model.tokens.weight.device

    @torch.no_grad()
    def run(self, name: GraphName, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs by name; `inputs` may hold more than the graph asks for."""
        graph, taken, given = self._graphs[name]
        tensors = (torch.from_numpy(np.ascontiguousarray(inputs[key])) for key in taken)
        outputs = graph(*(tensor.to(self._device) for tensor in tensors))
        return {key: value.cpu().numpy() for key, value in zip(given, outputs, strict=True)}
