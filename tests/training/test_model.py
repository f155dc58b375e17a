"""The encoder is causal, counts from the end and knows no padding; reading many prefixes at once
equals reading each alone."""

from __future__ import annotations

import numpy as np
import torch

from model_export.contract.history import PADDING
from training.model import Context, ItemVectors, StreamRec

from . import tiny

ROWS = torch.tensor([[PADDING, PADDING, 4, 9, 2], [7, 7, 1, 0, 19]])


def encoded(model: StreamRec, rows: torch.Tensor) -> torch.Tensor:
    return model.encode(model.item_inputs()[rows.clamp(min=0)], rows != PADDING)


@torch.no_grad()
def test_left_padding_changes_nothing(model: StreamRec) -> None:
    padded = torch.cat([torch.full((2, 4), PADDING), ROWS], 1)
    torch.testing.assert_close(
        encoded(model, padded)[:, 4:][ROWS >= 0], encoded(model, ROWS)[ROWS >= 0]
    )
    short, long = model.read(ROWS), model.read(padded)
    x = model.think_input(short)
    torch.testing.assert_close(model.think_input(long), x)
    plain, _, attention = model.decode(x, model.empty_cache(x), x.new_zeros(1), short)
    wide, _, wide_attention = model.decode(x, model.empty_cache(x), x.new_zeros(1), long)
    torch.testing.assert_close(wide, plain)
    torch.testing.assert_close(wide_attention[..., 4:], attention)
    assert wide_attention[..., :4].abs().max() == 0


@torch.no_grad()
def test_a_later_item_changes_no_earlier_position(model: StreamRec) -> None:
    changed = ROWS.clone()
    changed[:, 3] = 11
    before, after = encoded(model, ROWS), encoded(model, changed)
    torch.testing.assert_close(before[1, :3], after[1, :3], rtol=0, atol=0)
    assert (before[1, 3:] - after[1, 3:]).abs().amax(-1).min() > 1e-3


@torch.no_grad()
def test_order_and_age_matter(model: StreamRec) -> None:
    def answer(rows: list[int]) -> torch.Tensor:
        context = model.read(torch.tensor([rows]))
        x = model.think_input(context)
        return model.decode(x, model.empty_cache(x), x.new_zeros(1), context)[0]

    assert (answer([3, 5, 8]) - answer([5, 3, 8])).abs().max() > 1e-3
    for table in (model.encoder_distance.table, model.decoder_age.table):
        shaken = table.clone()
        before = answer([3, 5, 8])
        table[:, 1] += 1.0
        assert (answer([3, 5, 8]) - before).abs().max() > 1e-3
        table.copy_(shaken)


@torch.no_grad()
def test_contexts_at_equal_reading_each_prefix_alone(model: StreamRec) -> None:
    histories = tiny.histories(6, 4, 2)
    rows = torch.full((3, 6), PADDING)
    for line, history in zip(rows, histories, strict=True):
        line[6 - len(history) :] = torch.from_numpy(history)
    examples = [
        (owner, n) for owner, history in enumerate(histories) for n in range(1, len(history) + 1)
    ]
    owner = torch.tensor([owner for owner, _ in examples])
    newest = torch.tensor([5 - len(histories[owner]) + n for owner, n in examples])
    together = model.contexts_at(encoded(model, rows), rows != PADDING, owner, newest)
    x = model.think_input(together)
    at_once, _, attention = model.decode(x, model.empty_cache(x), x.new_zeros(1), together)
    for place, (user, length) in enumerate(examples):
        alone: Context = model.read(torch.from_numpy(histories[user][:length])[None])
        torch.testing.assert_close(together.current[place], alone.current[0])
        x = model.think_input(alone)
        decoded, _, single = model.decode(x, model.empty_cache(x), x.new_zeros(1), alone)
        torch.testing.assert_close(at_once[place], decoded[0])
        start = int(newest[place]) + 1 - length
        torch.testing.assert_close(attention[place, 0, start : start + length], single[0, 0])
        assert attention[place, 0, int(newest[place]) + 1 :].sum() == 0


@torch.no_grad()
def test_items_and_states_are_unit_vectors(model: StreamRec) -> None:
    ones = torch.ones(tiny.N_ITEMS)
    torch.testing.assert_close(model.item_targets().norm(dim=-1), ones)
    torch.testing.assert_close(model.state(torch.randn(tiny.N_ITEMS, 16)).norm(dim=-1), ones)


@torch.no_grad()
def test_an_item_is_its_vector_and_its_codes(model: StreamRec) -> None:
    code = tiny.codes()[7] + np.array(tiny.VOCABULARY.offsets)
    expected = model.norm_input(model.items()[7] + model.tokens.weight[code].sum(0))
    torch.testing.assert_close(model.item_inputs()[7], expected)


@torch.no_grad()
def test_an_untouched_residual_head_is_the_plain_difference() -> None:
    model = tiny.new_network()
    target, state = torch.randn(2, 5, 16)
    torch.testing.assert_close(model.residual(target, state), target - state)


def test_an_item_that_nobody_met_is_its_text_and_learns_nothing_else() -> None:
    text, met = torch.randn(3, 6), torch.tensor([True, True, False])
    items = ItemVectors(text, torch.zeros(3, 2), met, 16)
    read, placed_by_text = items(), items.norm(items.project(text))
    torch.testing.assert_close(read[2], placed_by_text[2])
    assert (read[:2] - placed_by_text[:2]).abs().amax(1).min() > 1e-3
    (read * torch.randn(3, 16)).sum().backward()
    assert items.free.weight.grad is not None
    assert items.free.weight.grad.abs().amax(1).bool().tolist() == [True, True, False]
