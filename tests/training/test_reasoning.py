from __future__ import annotations

import torch

from training.decoding import first_step, next_step
from training.model import StreamRec
from training.reasoning import annotate, greedy, nearest_code, reason, sampled, start_codebook

from . import tiny


@torch.no_grad()
def test_the_label_is_the_code_nearest_to_the_residual(model: StreamRec) -> None:
    residual = torch.randn(6, 16)
    by_hand = [
        min(range(12), key=lambda k: (model.codebook.weight[k] - r).square().sum().item())
        for r in residual
    ]
    assert nearest_code(model, residual).tolist() == by_hand
    assert nearest_code(model, model.codebook.weight).tolist() == list(range(12))


@torch.no_grad()
def test_annotation_follows_the_state_step_by_step(model: StreamRec) -> None:
    context = tiny.context(model, 3, 6)
    target = model.item_targets()[[4, 9]]
    tokens, distances = annotate(model, context, target, 3)
    assert tokens.shape == (2, 3)
    assert distances.shape == (2, 4)
    step = first_step(model, context)
    for number in range(3):
        cosine = (step.state * target).sum(-1)
        torch.testing.assert_close(distances[:, number], 1 - cosine)
        label = nearest_code(model, model.residual(target, step.state))
        assert tokens[:, number].tolist() == label.tolist()
        step = next_step(model, context, step, label)
    torch.testing.assert_close(distances[:, 3], 1 - (step.state * target).sum(-1))


@torch.no_grad()
def test_the_thought_is_the_sum_of_decoder_outputs(model: StreamRec) -> None:
    trace, _ = reason(model, tiny.context(model, 4), 3)
    torch.testing.assert_close(trace[-1].thought, sum(step.decoded for step in trace))
    torch.testing.assert_close(trace[-1].state, model.state(trace[-1].thought))


@torch.no_grad()
def test_written_tokens_are_the_likeliest(model: StreamRec) -> None:
    trace, tokens = reason(model, tiny.context(model, 4, 2), 3)
    for number in range(3):
        likeliest = model.token_logits(trace[number].decoded).argmax(-1)
        assert tokens[:, number].tolist() == likeliest.tolist()


@torch.no_grad()
def test_no_step_writes_nothing(model: StreamRec) -> None:
    trace, tokens = reason(model, tiny.context(model, 4, 2), 0)
    assert len(trace) == 1
    assert tokens.shape == (2, 0)


def test_sampling_follows_the_temperature() -> None:
    logits = torch.tensor([0.0, 1.0, 2.0]).expand(20_000, -1)
    for temperature in (0.5, 2.0):
        drawn = sampled(temperature, torch.Generator().manual_seed(1))(logits)
        share = torch.bincount(drawn, minlength=3) / len(logits)
        expected = (logits[0] / temperature).softmax(0)
        torch.testing.assert_close(share, expected, atol=0.015, rtol=0)
    assert greedy(logits[:2]).tolist() == [2, 2]


@torch.no_grad()
def test_codes_start_at_mean_residuals(model: StreamRec) -> None:
    start_codebook(model)
    vectors, tokens = model.item_targets(), model.items.tokens
    for token in range(3):
        of_code = tokens[:, 0] == token
        torch.testing.assert_close(model.codebook.weight[token], vectors[of_code].mean(0))
    rest = vectors - model.codebook(tokens[:, 0])
    for token in tokens[:, 1].unique():
        of_code = tokens[:, 1] == token
        torch.testing.assert_close(model.codebook.weight[token], rest[of_code].mean(0))
    # level by level, what is left of the items shrinks
    left = vectors - model.codebook(tokens).cumsum(1).unbind(1)[-1]
    assert left.norm() < rest.norm() < vectors.norm()


@torch.no_grad()
def test_a_code_of_no_item_stays_where_it_was(model: StreamRec) -> None:
    model.items.tokens[:, 2] = 7
    before = model.codebook.weight[8:].clone()
    start_codebook(model)
    torch.testing.assert_close(model.codebook.weight[8:], before, rtol=0, atol=0)
