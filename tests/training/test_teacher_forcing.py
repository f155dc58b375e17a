"""One parallel pass equals the cached decoder, step by step."""

from __future__ import annotations

import pytest
import torch

from training.decoding import first_step, next_step
from training.model import StreamRec
from training.teacher_forcing import force

from . import tiny

LENGTHS = (1, 3, 6, 4)


@torch.no_grad()
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_cached_decoding_equals_one_parallel_pass(model: StreamRec, steps: int) -> None:
    context = tiny.context(model, *LENGTHS)
    reasoning = torch.randint(tiny.VOCABULARY.n_codes, (len(LENGTHS), steps))
    item = model.items.tokens[[3, 1, 4, 15]]
    forced = force(model, context, reasoning, item)

    step = first_step(model, context)
    outputs, states = [step.decoded], [step.state]
    for number in range(steps):
        step = next_step(model, context, step, reasoning[:, number])
        assert step.index == number + 1
        outputs.append(step.decoded)
        states.append(step.state)
    torch.testing.assert_close(forced.reasoning, torch.stack(outputs, 1))
    torch.testing.assert_close(forced.states(model), torch.stack(states, 1))

    token, cache = item.new_full((len(item), 1), model.vocabulary.answer), step.cache
    for level in range(model.vocabulary.levels):
        x = model.answer_inputs(token, torch.tensor([level]))
        decoded, cache, _ = model.decode(x, cache, x.new_zeros(1), context)
        torch.testing.assert_close(forced.answer[:, level], decoded[:, 0])
        token = item[:, level, None]


@torch.no_grad()
def test_a_blind_answer_equals_one_without_reasoning(model: StreamRec) -> None:
    context = tiny.context(model, *LENGTHS)
    reasoning = torch.randint(tiny.VOCABULARY.n_codes, (len(LENGTHS), 3))
    item = model.items.tokens[:4]
    reasons = torch.tensor([True, False, True, False])
    mixed = force(model, context, reasoning, item, reasons).answer
    torch.testing.assert_close(
        mixed[reasons], force(model, context, reasoning, item).answer[reasons]
    )
    direct = force(model, context, reasoning[:, :0], item).answer
    torch.testing.assert_close(mixed[~reasons], direct[~reasons])
    assert (mixed - direct)[reasons].abs().amax((1, 2)).min() > 1e-3


@torch.no_grad()
def test_no_output_sees_the_token_that_it_predicts(model: StreamRec) -> None:
    context = tiny.context(model, *LENGTHS)
    reasoning = torch.randint(tiny.VOCABULARY.n_codes, (len(LENGTHS), 3))
    item = model.items.tokens[:4]
    before = force(model, context, reasoning, item)
    changed = reasoning.clone()
    changed[:, 1] = (changed[:, 1] + 1) % tiny.VOCABULARY.n_codes
    after = force(model, context, changed, item)
    torch.testing.assert_close(after.reasoning[:, :2], before.reasoning[:, :2], rtol=0, atol=0)
    assert (after.reasoning[:, 2] - before.reasoning[:, 2]).abs().max() > 1e-3
    other = force(model, context, reasoning, model.items.tokens[4:8])
    torch.testing.assert_close(other.reasoning, before.reasoning, rtol=0, atol=0)
    torch.testing.assert_close(other.answer[:, 0], before.answer[:, 0], rtol=0, atol=0)


def test_the_target_reaches_no_output_but_later_answers(model: StreamRec) -> None:
    """No gradient leads from the last code of the target anywhere: it is only predicted."""
    context = tiny.context(model, *LENGTHS)
    item = model.items.tokens[:4].clone()
    other = item.clone()
    other[:, -1] = 7 + (other[:, -1] - 7 + 1) % 5
    reasoning = torch.zeros(4, 2, dtype=torch.long)
    a, b = force(model, context, reasoning, item), force(model, context, reasoning, other)
    torch.testing.assert_close(a.answer, b.answer, rtol=0, atol=0)
