from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from training.losses import (
    code_log_likelihood,
    dpo_loss,
    draw_negatives,
    quantization_loss,
    reasoning_log_likelihood,
    state_loss,
    step_weights,
)
from training.model import StreamRec

from . import tiny


def test_code_likelihood_is_a_softmax_within_each_level(model: StreamRec) -> None:
    answer = torch.randn(4, 3, 16)
    item = model.items.tokens[:4]
    logits = model.token_logits(answer)
    expected = []
    for example in range(4):
        total = torch.tensor(0.0)
        for level, (first, size) in enumerate([(0, 3), (3, 4), (7, 5)]):
            within = logits[example, level, first : first + size].exp()
            total = total + (within[item[example, level] - first] / within.sum()).log()
        expected.append(total)
    torch.testing.assert_close(code_log_likelihood(model, answer, item), torch.stack(expected))


def test_code_likelihoods_of_all_ids_sum_to_one(model: StreamRec) -> None:
    a, b, c = torch.meshgrid(*(torch.arange(s) for s in tiny.VOCABULARY.sizes), indexing="ij")
    every = torch.stack([a, b, c], -1).flatten(0, 2) + torch.tensor(tiny.VOCABULARY.offsets)
    answer = torch.randn(1, 3, 16).expand(len(every), -1, -1)
    assert code_log_likelihood(model, answer, every).exp().sum().item() == pytest.approx(
        1, abs=1e-5
    )


def test_reasoning_likelihood_is_a_softmax_over_all_codes(model: StreamRec) -> None:
    reasoning = torch.randn(2, 3, 16)
    tokens = torch.tensor([[0, 11], [5, 2]])
    share = model.token_logits(reasoning).softmax(-1)
    assert share.shape[-1] == 3 + 4 + 5  # codes of all levels, no control token
    log_p = reasoning_log_likelihood(model, reasoning, tokens)
    # d_0 predicts o_1 and d_1 predicts o_2; d_2 predicts nothing
    expected = [[share[0, 0, 0], share[0, 1, 11]], [share[1, 0, 5], share[1, 1, 2]]]
    torch.testing.assert_close(log_p.exp(), torch.stack([torch.stack(row) for row in expected]))


def test_token_logits_are_cosines_at_a_temperature(model: StreamRec) -> None:
    logits = model.token_logits(model.tokens.weight[4:5] * 7)
    assert logits[0, 4].item() == pytest.approx(model.code_scale.exp().item(), rel=1e-5)


def test_state_loss_by_hand(model: StreamRec) -> None:
    with torch.no_grad():
        model.state_scale.fill_(math.log(2.0))
    targets = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    states = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])  # one example, two steps; target is row 1
    e, inverse = math.exp(2), math.exp(-2)
    first = math.log(e + 1 + inverse) - 0
    second = math.log(1 + e + 1) - 2
    loss = state_loss(model, states, targets, torch.tensor([1]), 0.0)
    torch.testing.assert_close(loss, torch.tensor([first, second]))
    # smoothing 0.3 moves a tenth of the target to each of the three items
    logits = torch.tensor([2.0, 0.0, -2.0])
    smooth = -(torch.tensor([0.1, 0.8, 0.1]) * logits.log_softmax(0)).sum()
    loss = state_loss(model, states[:, :1], targets, torch.tensor([1]), 0.3)
    torch.testing.assert_close(loss[0], smooth)


def test_state_loss_keeps_examples_and_steps_apart(model: StreamRec) -> None:
    states = F.normalize(torch.randn(5, 4, 16), dim=-1)
    targets, rows = model.item_targets(), torch.tensor([3, 1, 4, 1, 5])
    one_by_one = [
        F.cross_entropy(model.item_logits(states[:, step], targets), rows) for step in range(4)
    ]
    torch.testing.assert_close(
        state_loss(model, states, targets, rows, 0.0), torch.stack(one_by_one)
    )


def test_sampled_softmax_by_hand(model: StreamRec) -> None:
    with torch.no_grad():
        model.state_scale.fill_(0.0)
    targets = torch.eye(6)
    states = torch.tensor(
        [[[0.0, 2.0, 3.0, 0.0, 0.0, 1.0]]]
    )  # logits of the six items; target is 1
    # items 2 and 5 stand for all six: each counts threefold
    loss = state_loss(model, states, targets, torch.tensor([1]), 0.0, torch.tensor([2, 5]))
    total = math.exp(2) + 3 * (math.exp(3) + math.exp(1))
    assert loss.item() == pytest.approx(math.log(total) - 2)
    # a target among the negatives is not its own rival
    loss = state_loss(model, states, targets, torch.tensor([1]), 0.0, torch.tensor([1, 5]))
    assert loss.item() == pytest.approx(math.log(math.exp(2) + 3 * math.exp(1)) - 2)


def test_expected_items_share_the_target_distribution(model: StreamRec) -> None:
    targets = torch.eye(4)
    states = torch.tensor([[[0.0, 2.0, 3.0, 1.0]]])
    with torch.no_grad():
        model.state_scale.fill_(0.0)
    log_p = states[0, 0].log_softmax(0)
    # the target itself, row 1, is among the expected items: 1 - .5 + .2 of the distribution is its own
    expected = torch.tensor([[2, 1]]), torch.tensor([[0.3, 0.2]])
    wanted = -(0.7 * log_p[1] + 0.3 * log_p[2])
    row = torch.tensor([1])
    loss = state_loss(model, states, targets, row, 0.0, expected=expected)
    torch.testing.assert_close(loss[0], wanted)
    # negatives that are all items, some of them known besides, stand for the same softmax
    everything = torch.tensor([3, 0, 2, 1])
    loss = state_loss(model, states, targets, row, 0.0, everything, expected)
    torch.testing.assert_close(loss[0], wanted)
    # item 0 stands for two items; what is expected is counted once and exactly
    loss = state_loss(model, states, targets, row, 0.0, torch.tensor([0, 2]), expected)
    total = math.exp(2) + math.exp(3) + 2 * math.exp(0)
    assert loss.item() == pytest.approx(math.log(total) - 0.7 * 2 - 0.3 * 3)


def test_negatives_are_drawn_for_large_catalogues_only() -> None:
    rng = np.random.default_rng(0)
    assert draw_negatives(19, 10, rng) is None
    drawn = draw_negatives(20, 10, rng)
    assert drawn is not None
    assert len(drawn.unique()) == 10
    assert drawn.max() < 20


def test_later_steps_weigh_more() -> None:
    np.testing.assert_allclose(step_weights(4), [0.1, 0.2, 0.3, 0.4])


def test_quantization_loss_and_its_stop_gradients_by_hand() -> None:
    residual = torch.tensor([[1.0, 2.0], [0.0, 0.0]], requires_grad=True)
    code = torch.tensor([[0.0, 0.0], [3.0, 0.0]], requires_grad=True)
    loss = quantization_loss(residual, code, commitment=0.25)
    assert loss.item() == pytest.approx(1.25 * (5 + 9) / 2)
    loss.backward()
    gap = residual.detach() - code.detach()
    # each term pulls one side only: the code at full strength, the residual at β; the mean is over 2
    torch.testing.assert_close(code.grad, -2 * gap / 2)
    torch.testing.assert_close(residual.grad, 0.25 * 2 * gap / 2)


def test_dpo_by_hand() -> None:
    chosen = torch.tensor([-1.0, -4.0], requires_grad=True)
    rejected = torch.tensor([-3.0, -2.0], requires_grad=True)
    loss = dpo_loss(chosen, rejected, torch.tensor([-2.0, -4.0]), torch.tensor([-2.0, -3.0]), 0.5)
    # margins: (−1 + 2) − (−3 + 2) = 2 and (−4 + 4) − (−2 + 3) = −1
    sigmoid = [1 / (1 + math.exp(-0.5 * margin)) for margin in (2, -1)]
    assert loss.item() == pytest.approx(-sum(map(math.log, sigmoid)) / 2)
    loss.backward()
    expected = torch.tensor([-0.5 * (1 - s) / 2 for s in sigmoid])
    torch.testing.assert_close(chosen.grad, expected)
    torch.testing.assert_close(rejected.grad, -expected)


def test_dpo_of_an_unmoved_policy_is_log_two() -> None:
    a, b = torch.randn(3), torch.randn(3)
    assert dpo_loss(a, b, a, b, 0.1).item() == pytest.approx(math.log(2))
