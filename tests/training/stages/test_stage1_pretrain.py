from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.progress import Progress

from training.args import Stage1Config
from training.decoding import first_step
from training.model import StreamRec
from training.stages.stage1_pretrain import pretrain, similar_prefix, stage1_losses

from .. import tiny

SIMILAR = np.stack([(np.arange(tiny.N_ITEMS) + k) % tiny.N_ITEMS for k in (1, 2, 3)], 1)
BY_DESIGN = {
    f"residual_mlp.{layer}.{kind}"
    for layer in ("expand", "contract")
    for kind in ("weight", "bias")
}
"""What stage 1 does not train: a residual is first taken when traces are annotated."""


def config(epochs: int = 3, **changes: float) -> Stage1Config:
    optim = {"epochs": epochs, "batch_size": 32, "learning_rate": 1e-2, "weight_decay": 0}
    return Stage1Config.model_validate({"optim": optim} | changes)


def train(
    model: StreamRec, folder: Path, settings: Stage1Config, progress: Progress | None = None
) -> list[dict[str, Any]]:
    return pretrain(
        model, tiny.windows(), SIMILAR, None, settings, folder, 7, progress or tiny.silent()
    )


def test_every_parameter_moves_but_the_residual_head(tmp_path: Path) -> None:
    model = tiny.new_network(dropout=0.1)
    before = tiny.parameters(model)
    train(model, tmp_path, config())
    assert set(before) - tiny.moved(before, model) == BY_DESIGN


def test_it_learns_what_comes_next(tmp_path: Path) -> None:
    model = tiny.new_network()
    history = train(model, tmp_path, config(25, smoothing=0.0, prefix_share=0.0))
    first, last = history[0]["losses"], history[-1]["losses"]
    assert last["state"] < 0.2 * first["state"]
    assert last["generation"] < 0.5 * first["generation"]
    with torch.no_grad():
        states = first_step(model, model.read(torch.tensor([[3, 4, 5], [17, 18, 19]]))).state
        assert model.item_logits(states, model.item_targets()).argmax(-1).tolist() == [6, 0]


@pytest.mark.parametrize("movement", [3, 9, 14])
def test_a_resumed_run_ends_with_the_same_weights(tmp_path: Path, movement: int) -> None:
    whole = tiny.new_network(dropout=0.2)
    train(whole, tmp_path / "whole", config())
    interrupted = tiny.new_network(dropout=0.2)
    with pytest.raises(KeyboardInterrupt):
        train(interrupted, tmp_path / "part", config(), tiny.Interrupted(movement))
    resumed = tiny.new_network(dropout=0.2)
    train(resumed, tmp_path / "part", config())
    assert tiny.equal(whole, resumed)


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    models = [tiny.new_network(), tiny.new_network()]
    for seed, model in enumerate(models):
        pretrain(
            model,
            tiny.windows(),
            SIMILAR,
            None,
            config(1),
            tmp_path / str(seed),
            seed,
            tiny.silent(),
        )
    assert not tiny.equal(*models)


def test_a_prefix_is_codes_of_similar_items(model: StreamRec) -> None:
    target = torch.arange(tiny.N_ITEMS)
    prefix = similar_prefix(model, target, SIMILAR, np.random.default_rng(0))
    assert prefix.shape == (tiny.N_ITEMS, tiny.STEPS)
    for row, written in enumerate(prefix.tolist()):
        of_similar = [model.items.tokens[other].tolist() for other in SIMILAR[row]]
        assert written in of_similar  # three levels and three steps: one whole item


def test_losses_by_hand(model: StreamRec) -> None:
    """Without a prefix: the mean likelihood of the target's codes, and the softmax of s_0."""
    batch = tiny.batch()
    settings = config(prefix_share=0.0, generation=0.5, state=2.0, smoothing=0.0)
    parts = stage1_losses(model, batch, SIMILAR, settings, np.random.default_rng(0))
    nll, ranked = [], []
    for example in range(len(batch.target)):
        row = batch.rows[batch.owner[example], : batch.newest[example] + 1]
        step = first_step(model, model.read(row[None]))
        logits = model.item_logits(step.state, model.item_targets())
        ranked.append(-logits.log_softmax(-1)[0, batch.target[example]])
        item = model.items.tokens[batch.target[example]][None]
        context, cache, total = model.read(row[None]), step.cache, torch.tensor(0.0)
        token = torch.tensor([[model.vocabulary.answer]])
        for level in range(3):
            x = model.answer_inputs(token, torch.tensor([level]))
            decoded, cache, _ = model.decode(x, cache, x.new_zeros(1), context)
            codes = model.token_logits(decoded)[0, 0, model.vocabulary.level_slice(level)]
            token = item[:, level, None]
            total = total - codes.log_softmax(-1)[token[0, 0] - model.vocabulary.offsets[level]]
        nll.append(total)
    torch.testing.assert_close(parts["state"], 2 * torch.stack(ranked).mean())
    torch.testing.assert_close(parts["generation"], 0.5 * torch.stack(nll).mean() / 3)


def test_without_generation_the_state_loss_is_the_same(model: StreamRec) -> None:
    batch = tiny.batch()
    rng = np.random.default_rng(0)
    both = stage1_losses(model, batch, SIMILAR, config(), rng)["state"]
    alone = stage1_losses(model, batch, SIMILAR, config(generation=0.0), rng)
    assert set(alone) == {"state"}
    torch.testing.assert_close(alone["state"], both)
