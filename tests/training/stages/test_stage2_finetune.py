from __future__ import annotations

import copy
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.progress import Progress
from torch import nn

from training.args import Stage2Config
from training.losses import code_log_likelihood, step_weights
from training.model import StreamRec
from training.reasoning import reason, start_codebook
from training.soft_targets import Expected
from training.stages.stage2_annotate import annotate_all
from training.stages.stage2_finetune import (
    finetune,
    first_and_a_later,
    stage2_losses,
    thinking_parts,
)
from training.teacher_forcing import force

from .. import tiny

LEAVES = tiny.index().leaf_items


def config(epochs: int = 3, **changes: float) -> Stage2Config:
    optim = {"epochs": epochs, "batch_size": 32, "learning_rate": 1e-2, "weight_decay": 0}
    return Stage2Config.model_validate({"optim": optim, "own_tokens": 0.5} | changes)


def annotated(folder: Path, **changes: float) -> tuple[StreamRec, np.ndarray]:
    """A network as stage 1 might leave it, and its labels."""
    model = tiny.network(**changes)
    start_codebook(model)
    return model, annotate_all(model, tiny.windows(), tiny.catalog(), folder, tiny.silent())[0]


def train(
    model: StreamRec,
    labels: np.ndarray,
    folder: Path,
    settings: Stage2Config,
    progress: Progress | None = None,
    expected: Expected | None = None,
) -> list[dict[str, Any]]:
    epochs = count()
    return finetune(
        model, tiny.windows(), labels, tiny.trie(), LEAVES,
        lambda: {"objective": float(next(epochs))},
        settings, folder, 7, progress or tiny.silent(), expected,
    )  # fmt: skip


def test_the_later_state_is_drawn_with_the_weight_of_its_step() -> None:
    states = torch.arange(5.0)[None, :, None].expand(20_000, 5, 1)
    first, later = first_and_a_later(states, np.random.default_rng(0))[..., 0].T
    assert not first.any()
    shares = np.bincount(later.long().numpy(), minlength=5)[1:] / len(later)
    np.testing.assert_allclose(shares, step_weights(4), atol=0.01)


def nothing_new(place: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Soft targets that expect nothing but the target."""
    return torch.zeros(len(place), 1, dtype=torch.long), torch.zeros(len(place), 1)


def losses(
    model: StreamRec,
    direct: StreamRec,
    expected: tuple[torch.Tensor, torch.Tensor] | None = None,
    **changes: float,
) -> dict[str, torch.Tensor]:
    batch = tiny.batch()
    label = torch.randint(
        12, (len(batch.target), tiny.STEPS), generator=torch.Generator().manual_seed(0)
    )
    return stage2_losses(
        model, direct, batch, label, tiny.trie(), torch.from_numpy(LEAVES), config(**changes),
        np.random.default_rng(0), expected,
    )  # fmt: skip


def test_soft_targets_train_the_whole_network(tmp_path: Path) -> None:
    model, labels = annotated(tmp_path, dropout=0.1)
    before = tiny.parameters(model)
    train(model, labels, tmp_path, config(), None, nothing_new)
    assert tiny.moved(before, model) == {name for name, _ in model.named_parameters()}


def test_soft_targets_count_in_the_states_loss() -> None:
    model = tiny.network()
    direct = copy.deepcopy(model)
    place = tiny.batch().place
    candidates, share = torch.full((len(place), 1), 7), torch.full((len(place), 1), 0.5)
    hard = losses(model, direct)
    same = losses(model, direct, nothing_new(place))
    soft = losses(model, direct, (candidates, share))
    torch.testing.assert_close(same, hard)
    assert soft["state"] != hard["state"]
    assert all(soft[name] == hard[name] for name in ("quantization", "generation", "dpo"))


def test_everything_that_thinks_moves_and_nothing_else(tmp_path: Path) -> None:
    model, labels = annotated(tmp_path, dropout=0.1)
    before = tiny.parameters(model)
    history = train(model, labels, tmp_path, config())
    thinking = {
        id(parameter)
        for part in thinking_parts(model)
        for parameter in (part.parameters() if isinstance(part, nn.Module) else [part])
    }
    expected = {name for name, value in model.named_parameters() if id(value) in thinking}
    assert tiny.moved(before, model) == expected
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert set(history[0]["losses"]) == {"state", "quantization", "generation", "dpo"}
    assert all(value > 0 for value in history[0]["losses"].values())


def test_all_four_losses_fall_on_what_can_be_memorised(tmp_path: Path) -> None:
    model, labels = annotated(tmp_path)
    history = train(model, labels, tmp_path, config(20, smoothing=0.0))
    first, last = history[0]["losses"], history[-1]["losses"]
    assert last["state"] < 0.2 * first["state"]
    for name in ("quantization", "generation", "dpo"):
        assert last[name] < 0.8 * first[name], name


@pytest.mark.parametrize("movement", [2, 8, 13])
def test_a_resumed_run_ends_with_the_same_weights(tmp_path: Path, movement: int) -> None:
    whole, labels = annotated(tmp_path, dropout=0.2)
    start = copy.deepcopy(whole)
    train(whole, labels, tmp_path / "whole", config())
    with pytest.raises(KeyboardInterrupt):
        train(copy.deepcopy(start), labels, tmp_path / "part", config(), tiny.Interrupted(movement))
    resumed = copy.deepcopy(start)
    epochs = count(10)  # validation may not depend on how often it was called; objectives only rise
    finetune(
        resumed, tiny.windows(), labels, tiny.trie(), LEAVES,
        lambda: {"objective": float(next(epochs))}, config(), tmp_path / "part", 7, tiny.silent(),
    )  # fmt: skip
    assert tiny.equal(whole, resumed)


def test_no_gradient_reaches_the_direct_model() -> None:
    model, direct = tiny.network(), tiny.network().requires_grad_(False)
    sum(losses(model, direct).values(), torch.tensor(0.0)).backward()
    assert all(parameter.grad is None for parameter in direct.parameters())


def test_an_unmoved_model_has_no_preference_yet() -> None:
    """π = π_ref: every margin is what the trace itself costs, and dropout-free likelihoods agree."""
    model = tiny.network()
    direct = copy.deepcopy(model).requires_grad_(False)
    value = losses(model, direct, dpo=1.0, dpo_beta=0.3)["dpo"].item()
    assert value == pytest.approx(np.log(2), abs=1e-5)


def test_without_its_weight_the_direct_model_is_never_asked() -> None:
    parts = losses(tiny.network(), None, dpo=0.0)  # type: ignore[arg-type]
    assert parts["dpo"].item() == 0


def test_quantization_leaves_the_target_alone() -> None:
    """t is stopped: only states, the residual head and the codebook answer to loss (b)."""
    model = tiny.network()
    direct = copy.deepcopy(model).requires_grad_(False)
    losses(model, direct)["quantization"].backward()
    assert model.codebook.weight.grad is not None
    assert model.residual_mlp.expand.weight.grad is not None
    batch = tiny.batch()
    never_read = torch.tensor([i for i in range(tiny.N_ITEMS) if i not in batch.rows])
    assert model.items.free.weight.grad is not None
    assert model.items.free.weight.grad[never_read].abs().max() == 0


def test_readers_of_their_own_tokens_never_see_a_label() -> None:
    """With own_tokens = 1 the labels are targets only: states do not depend on them."""
    model = tiny.network()
    direct = copy.deepcopy(model).requires_grad_(False)
    batch = tiny.batch()
    parts = []
    for code in (0, 5):
        label = torch.full((len(batch.target), tiny.STEPS), code)
        parts.append(
            stage2_losses(
                model, direct, batch, label, tiny.trie(), torch.from_numpy(LEAVES),
                config(own_tokens=1.0), np.random.default_rng(0),
            )
        )  # fmt: skip
    for name, value in parts[0].items():
        torch.testing.assert_close(value, parts[1][name], rtol=0, atol=0)


def test_generation_is_the_likelihood_of_labels_and_codes() -> None:
    model = tiny.network()
    direct = copy.deepcopy(model).requires_grad_(False)
    batch = tiny.batch()
    encoded = model.encode(model.item_inputs()[batch.rows.clamp(min=0)], batch.mask)
    context = model.contexts_at(encoded, batch.mask, batch.owner, batch.newest)
    _, own = reason(model, context, tiny.STEPS)
    value = stage2_losses(
        model, direct, batch, own, tiny.trie(), torch.from_numpy(LEAVES),
        config(prefix_share=1.0, generation=1.0, own_tokens=0.0), np.random.default_rng(0),
    )["generation"]  # fmt: skip
    item = model.items.tokens[batch.target]
    forced = force(model, context, own, item)
    written = model.token_logits(forced.reasoning[:, :-1]).log_softmax(-1)
    total = written.gather(-1, own[..., None]).sum((1, 2))
    total = total + code_log_likelihood(model, forced.answer, item)
    torch.testing.assert_close(value, -total.mean() / 6)
