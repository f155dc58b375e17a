from __future__ import annotations

import copy
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.progress import Progress

from training.args import Stage3Config
from training.model import StreamRec
from training.rewards import REWARDS
from training.stages.stage3_reinforce import (
    policy_log_probs,
    reinforce,
    reinforced_parameters,
    reward_traces,
    roll_out,
    trace_log_probs,
    update,
)
from training.teacher_forcing import force

from .. import tiny


def config(**changes: Any) -> Stage3Config:
    return Stage3Config.model_validate(
        {"steps": 6, "users": 8, "group": 4, "validate_every": 2, "learning_rate": 1e-3} | changes
    )


def train(
    model: StreamRec,
    folder: Path,
    settings: Stage3Config,
    progress: Progress | None = None,
    begin: int = 0,
) -> list[dict[str, Any]]:
    calls = count(begin)
    return reinforce(
        model, tiny.windows(), tiny.trie(), lambda: {"objective": float(next(calls))},
        settings, folder, 7, progress or tiny.silent(),
    )  # fmt: skip


def test_only_the_decoder_moves_and_all_of_it(tmp_path: Path) -> None:
    model = tiny.network()
    before = tiny.parameters(model)
    train(model, tmp_path, config())
    reinforced = {id(parameter) for parameter in reinforced_parameters(model)}
    expected = {n for n, value in model.named_parameters() if id(value) in reinforced}
    assert tiny.moved(before, model) == expected
    frozen = {name.split(".")[0] for name in before if name not in expected}
    assert frozen == {
        "items", "tokens", "encoder", "encoder_distance", "norm_input", "norm_encoded",
        "state_mlp", "state_norm", "state_scale", "residual_mlp", "codebook", "residual_input",
    }  # fmt: skip


@pytest.mark.parametrize("movement", [1, 3, 6])
def test_a_resumed_run_ends_with_the_same_weights(tmp_path: Path, movement: int) -> None:
    whole, resumed = tiny.network(), tiny.network()
    train(whole, tmp_path / "whole", config())
    with pytest.raises(KeyboardInterrupt):
        train(tiny.network(), tmp_path / "part", config(), tiny.Interrupted(movement))
    history = train(resumed, tmp_path / "part", config(), begin=10)
    assert tiny.equal(whole, resumed)
    assert [record["step"] for record in history] == [2, 4, 6]


def test_every_reward_is_logged_apart(tmp_path: Path) -> None:
    history = train(tiny.network(), tmp_path, config(steps=2))
    assert set(history[0]["rewards"]) == {*REWARDS, "total", "kl", "entropy", "informative"}


def test_no_steps_leave_the_weights_as_they_came(tmp_path: Path) -> None:
    model = tiny.network()
    assert train(model, tmp_path, config(steps=0)) == []
    assert tiny.equal(model, tiny.network())


@torch.no_grad()
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_traces_are_real_items_drawn_as_their_log_probabilities_say(temperature: float) -> None:
    """Every way to the sampled tokens is scored as the sampler drew it: shares equal probabilities."""
    model = tiny.network(max_steps=1)
    rows = torch.from_numpy(tiny.histories(4)[0])[None].expand(6000, -1)
    context = model.read(rows)
    generator = torch.Generator().manual_seed(1)
    rollout = roll_out(model, context, tiny.trie(), temperature, generator)
    log_p, _ = trace_log_probs(model, context, rollout, tiny.trie(), temperature)
    assert log_p.shape == (6000, 1 + 3)

    real = {tuple(item) for item in model.items.tokens.tolist()}
    traces = torch.cat([rollout.reasoning, rollout.item], 1)
    assert {tuple(item) for item in rollout.item.tolist()} <= real
    unique, number, times = traces.unique(dim=0, return_inverse=True, return_counts=True)
    probability = torch.zeros(len(unique)).scatter_(0, number, log_p.sum(1).exp())
    assert probability.sum() < 1 + 1e-4
    error = (probability * (1 - probability) / 6000).sqrt()
    assert ((times / 6000 - probability).abs() < 5 * error + 1 / 6000).all()
    # probabilities of the items after one reasoning token are complete: they sum to one
    token = rollout.reasoning.mode(0).values
    chosen = rollout.reasoning[:, 0] == token
    items, places = np.unique(rollout.item[chosen].numpy(), axis=0, return_index=True)
    if len(items) == tiny.N_ITEMS:
        total = log_p[chosen][torch.from_numpy(places), 1:].sum(1).exp().sum()
        assert total.item() == pytest.approx(1, abs=1e-4)


@torch.no_grad()
def test_free_choice_is_recorded_before_the_trie_helps() -> None:
    model = tiny.network()
    context = tiny.context(model, *[4] * 50)
    rollout = roll_out(model, context, tiny.trie(), 1.0, torch.Generator().manual_seed(1))
    possible = set(tiny.codes()[:, 0].tolist())
    first = model.token_logits(  # ANSWER after the reasoning, before any code
        _answer_output(model, context, rollout.reasoning)
    )[:, model.vocabulary.level_slice(0)].argmax(-1)
    expected = [int(code) in possible for code in first]
    assert rollout.free_possible[:, 0].tolist() == expected
    assert 0 < rollout.free_possible.float().mean() < 1


def _answer_output(model: StreamRec, context: Any, reasoning: torch.Tensor) -> torch.Tensor:
    unused = model.items.tokens[:1].expand(len(reasoning), -1)
    return force(model, context, reasoning, unused).answer[:, 0]


@torch.no_grad()
def test_rewards_of_traces(model: StreamRec) -> None:
    batch = tiny.batch(3)
    encoded = model.encode(model.item_inputs()[batch.rows.clamp(min=0)], batch.mask)
    owner, newest = batch.owner.repeat_interleave(4), batch.newest.repeat_interleave(4)
    context = model.contexts_at(encoded, batch.mask, owner, newest)
    rollout = roll_out(model, context, tiny.trie(), 1.0, torch.Generator().manual_seed(1))
    rewards = reward_traces(
        model, batch, encoded, context, rollout, config(), np.random.default_rng(0)
    )
    assert set(rewards) == set(REWARDS)
    for value in rewards.values():
        assert value.shape == (len(batch.target), 4)
    for example in range(len(batch.target)):
        target = model.items.tokens[batch.target[example]].tolist()
        for trace in range(4):
            written = rollout.item[4 * example + trace].tolist()
            leading = next((i for i in range(3) if written[i] != target[i]), 3)
            assert rewards["match"][example, trace].item() == pytest.approx(leading / 3)
    assert rewards["rank"].min() > 0


def test_an_update_makes_rewarded_traces_likelier() -> None:
    """With the exact match alone, on one batch, over and over, the answers come to match."""
    model = tiny.network()
    reference = copy.deepcopy(model)
    weights = dict.fromkeys(REWARDS, 0.0) | {"match": 1.0}
    settings = config(rewards=weights, learning_rate=5e-3, group=8)
    batch, policy = tiny.batch(2), reinforced_parameters(model)
    optimizer = torch.optim.AdamW(policy, lr=settings.learning_rate, weight_decay=0)
    records = [
        update(
            model,
            reference,
            partial(policy_log_probs, model),
            batch,
            tiny.trie(),
            optimizer,
            policy,
            settings,
            np.random.default_rng(n),
        )
        for n in range(40)
    ]
    first, last = (np.mean([r["match"] for r in part]) for part in (records[:5], records[-5:]))
    assert last > first + 0.2
    assert records[0]["kl"] < records[-1]["kl"]
    assert records[-1]["entropy"] >= 0


def test_groups_that_agree_change_nothing() -> None:
    """No reward, no KL: no gradient, so not even the optimizer moves."""
    model = tiny.network()
    settings = config(rewards=dict.fromkeys(REWARDS, 0.0), kl=0.0)
    policy = reinforced_parameters(model)
    optimizer = torch.optim.AdamW(policy, lr=1.0, weight_decay=0)
    record = update(
        model, copy.deepcopy(model), partial(policy_log_probs, model), tiny.batch(2), tiny.trie(),
        optimizer, policy, settings, np.random.default_rng(0),
    )  # fmt: skip
    assert record["informative"] == 0
    assert tiny.equal(model, tiny.network())
