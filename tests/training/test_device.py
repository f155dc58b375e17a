"""Everything is computed on the device in use.

Shown on torch's `meta` device, which has shapes and no numbers: like a GPU it refuses tensors that lie
elsewhere, and every machine has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
import torch

from tests.training import tiny
from training.args import Stage1Config, Stage2Config, Stage3Config
from training.decoding import TrieTensors
from training.stages import stage1_pretrain, stage3_reinforce
from training.stages.stage1_pretrain import stage1_losses
from training.stages.stage2_finetune import stage2_losses

META = torch.device("meta")
EXAMPLES = tiny.batch(5)


@pytest.fixture(autouse=True)
def meta() -> Iterator[None]:
    """New tensors lie on the device, as `distributed.processes` makes them lie on a GPU."""
    torch.set_default_device(META)
    yield
    torch.set_default_device(None)


def model() -> torch.nn.Module:
    torch.set_default_device(None)
    network = tiny.new_network()
    torch.set_default_device(META)
    return network.to(META)


def test_stage_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the drawing of prefixes, which is done on the CPU."""
    drawn = torch.zeros(len(EXAMPLES.target), tiny.STEPS, dtype=torch.long)
    monkeypatch.setattr(stage1_pretrain, "similar_prefix", lambda *_: drawn)
    parts = stage1_losses(
        model(), EXAMPLES.to(META), np.zeros((1, 1), np.int64), Stage1Config(),
        np.random.default_rng(0),
    )  # fmt: skip
    torch.stack(list(parts.values())).sum().backward()


@pytest.mark.parametrize("negatives", [4096, 5])
def test_stage_2(negatives: int) -> None:
    """But for the preference loss, which looks at numbers."""
    count = len(EXAMPLES.target)
    label = torch.zeros(count, tiny.STEPS, dtype=torch.long)
    expected = torch.zeros(count, 3, dtype=torch.long), torch.zeros(count, 3)
    parts = stage2_losses(
        model(), model(), EXAMPLES.to(META), label, TrieTensors.of(tiny.index(), META),
        torch.arange(tiny.N_ITEMS), Stage2Config(dpo=0, negatives=negatives),
        np.random.default_rng(0), expected,
    )  # fmt: skip
    torch.stack(list(parts.values())).sum().backward()


def test_stage_3(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as the figures that it reports."""
    monkeypatch.setattr(torch, "Generator", lambda _: torch._C.Generator())
    network = model()
    policy = stage3_reinforce.reinforced_parameters(network)
    before = [parameter.grad for parameter in policy]
    with pytest.raises(RuntimeError, match=r"item\(\) cannot be called on meta"):
        stage3_reinforce.update(
            network, model(), partial(stage3_reinforce.policy_log_probs, network),
            EXAMPLES.to(META), TrieTensors.of(tiny.index(), META), torch.optim.AdamW(policy),
            policy, Stage3Config(users=8, group=4), np.random.default_rng(0),
        )  # fmt: skip
    assert before == [None] * len(policy)
    assert all(parameter.grad is not None for parameter in policy)
