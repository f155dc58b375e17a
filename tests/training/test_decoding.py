"""The trie-constrained beam search against an exhaustive one."""

from __future__ import annotations

import pytest
import torch

from training.decoding import beam_search
from training.losses import code_log_likelihood
from training.model import Context, StreamRec
from training.reasoning import reason
from training.teacher_forcing import force

from . import tiny

LEAVES = torch.from_numpy(tiny.index().leaf_items)


@torch.no_grad()
def every_likelihood(model: StreamRec, context: Context, reasoning: torch.Tensor) -> torch.Tensor:
    """log p(item | reasoning) of every leaf (B, N), one parallel pass a leaf."""
    columns = []
    for row in LEAVES:
        item = model.items.tokens[row][None].expand(len(reasoning), -1)
        columns.append(
            code_log_likelihood(model, force(model, context, reasoning, item).answer, item)
        )
    return torch.stack(columns, 1)


@torch.no_grad()
@pytest.mark.parametrize("steps", [0, 2])
def test_a_wide_beam_ranks_the_whole_catalogue(model: StreamRec, steps: int) -> None:
    context = tiny.context(model, 2, 6, 4)
    trace, tokens = reason(model, context, steps)
    everything = torch.ones(3, tiny.N_ITEMS, dtype=torch.bool)
    leaves, total = beam_search(
        model, context, trace[-1].cache, tiny.trie(), tiny.N_ITEMS, everything
    )
    expected, order = every_likelihood(model, context, tokens).sort(1, descending=True)
    torch.testing.assert_close(total, expected)
    assert leaves.tolist() == order.tolist()


@torch.no_grad()
@pytest.mark.parametrize("share", [0.2, 0.6])
def test_a_mask_holds_at_every_level(model: StreamRec, share: float) -> None:
    torch.manual_seed(int(10 * share))
    context = tiny.context(model, 2, 6, 4, 1, 5)
    trace, tokens = reason(model, context, 1)
    allowed = torch.rand(5, tiny.N_ITEMS) < share
    allowed[0], allowed[1] = False, False
    allowed[1, 8] = True
    width = tiny.N_ITEMS + 3
    leaves, total = beam_search(model, context, trace[-1].cache, tiny.trie(), width, allowed)
    likelihood = every_likelihood(model, context, tokens)
    for request in range(5):
        possible = allowed[request].nonzero()[:, 0]
        order = possible[likelihood[request, possible].argsort(descending=True)]
        found = leaves[request, : len(order)]
        assert found.tolist() == order.tolist()
        assert leaves[request, len(order) :].eq(-1).all()
        torch.testing.assert_close(total[request, : len(order)], likelihood[request, order])
        assert total[request, len(order) :].exp().sum() == 0


@torch.no_grad()
@pytest.mark.parametrize("width", [1, 2, 3, 7])
def test_a_narrow_beam_is_full_and_sorted_and_honest(model: StreamRec, width: int) -> None:
    context = tiny.context(model, 3, 6)
    trace, tokens = reason(model, context, 2)
    allowed = torch.ones(2, tiny.N_ITEMS, dtype=torch.bool)
    allowed[:, ::3] = False
    leaves, total = beam_search(model, context, trace[-1].cache, tiny.trie(), width, allowed)
    assert all(len(set(row)) == width for row in leaves.tolist())
    assert allowed.gather(1, leaves).all()
    assert (total.diff(dim=1) <= 0).all()
    likelihood = every_likelihood(model, context, tokens)
    torch.testing.assert_close(total, likelihood.gather(1, leaves))


@torch.no_grad()
def test_width_one_is_greedy(model: StreamRec) -> None:
    context = tiny.context(model, 4)
    trace, tokens = reason(model, context, 1)
    everything = torch.ones(1, tiny.N_ITEMS, dtype=torch.bool)
    leaves, _ = beam_search(model, context, trace[-1].cache, tiny.trie(), 1, everything)
    written: tuple[int, ...] = ()
    for level in range(3):
        possible = [i[level] for i in tiny.codes().tolist() if tuple(i[:level]) == written]
        item = torch.tensor([[*written, *[0] * (3 - level)]]) + torch.tensor(
            tiny.VOCABULARY.offsets
        )
        answer = force(model, context, tokens, item).answer[:, level]
        logits = model.token_logits(answer)[0, tiny.VOCABULARY.level_slice(level)]
        written += (max(possible, key=lambda code: logits[code].item()),)
    assert tiny.codes()[LEAVES[leaves[0, 0]]].tolist() == list(written)
