from __future__ import annotations

from pathlib import Path

import pytest
import torch

from model_export.contract.errors import ConfigError
from model_export.contract.semantic_ids import CodeVocabulary
from training.args import RunConfig, load_config
from training.decoding import first_step
from training.model import StreamRec
from training.presets import PRESETS


def config(path: Path, text: str) -> RunConfig:
    file = path / "run.toml"
    file.write_text(text)
    return load_config(file)


def test_no_file_is_the_defaults() -> None:
    assert load_config(None) == RunConfig()


def test_a_file_changes_what_it_names(tmp_path: Path) -> None:
    changed = config(tmp_path, "[model]\nd_model = 32\n[stage1.optim]\nepochs = 3\n")
    assert changed.model.d_model == 32
    assert changed.stage1.optim.epochs == 3
    assert changed.stage1.optim.batch_size == RunConfig().stage1.optim.batch_size
    assert changed.stage3 == RunConfig().stage3


def test_a_preset_lies_below_what_the_file_says(tmp_path: Path) -> None:
    small = config(tmp_path, 'preset = "small"\n[model]\nmax_history = 7\n')
    assert small.model.max_history == 7
    assert small.model.d_model < RunConfig().model.d_model
    assert config(tmp_path, 'preset = "base"\n') == RunConfig()
    with pytest.raises(ConfigError, match="'huge' is not one of small, base, large"):
        config(tmp_path, 'preset = "huge"\n')
    with pytest.raises(ConfigError, match="preset"):
        config(tmp_path, 'preset = ["small"]\n')


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_a_network_that_answers(tmp_path: Path, preset: str) -> None:
    shape = config(tmp_path, f'preset = "{preset}"\n').model
    codes, texts = torch.tensor([[0, 1], [1, 0], [1, 1]]), torch.randn(3, 5)
    model = StreamRec(shape, CodeVocabulary((2, 2)), texts, codes, torch.ones(3)).eval()
    context = model.read(torch.tensor([[-1, 0, 1]]))
    state = first_step(model, context).state
    assert model.item_logits(state, model.item_targets()).shape == (1, 3)


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    text = "[model]\nd_modl = 32\ndropout = 1.5\n[stage3]\ngroup = 1\n[nothing]\n"
    with pytest.raises(ConfigError) as error:
        config(tmp_path, text)
    for where in ("run.toml", "model.d_modl", "model.dropout", "stage3.group", "nothing"):
        assert where in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert "model.d_modl: unknown key; known are d_model, heads, encoder_layers" in str(error.value)
    assert "nothing: unknown key; known are data, items, evidence" in str(error.value)


@pytest.mark.parametrize("section", ["model", "deliberation"])
def test_heads_must_divide_the_width(tmp_path: Path, section: str) -> None:
    with pytest.raises(ConfigError, match=rf"{section}: .*heads 3 .*d_model 32"):
        config(tmp_path, f"[{section}]\nd_model = 32\nheads = 3\n")


def test_efforts_must_not_ask_for_more_steps_than_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"asks for 7 steps, model.max_steps allows 4"):
        config(tmp_path, "[model]\nmax_steps = 4\n[inference.efforts]\ndeep = 7\n")
    allowed = config(tmp_path, "[model]\nmax_steps = 7\n[inference.efforts]\ndeep = 7\n")
    assert dict(allowed.inference.efforts) == {"fast": 0, "balanced": 2, "deep": 7}


def test_broken_toml_and_missing_files_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not valid TOML"):
        config(tmp_path, "[model\n")
    (tmp_path / "run.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not valid TOML"):
        load_config(tmp_path / "run.toml")
    with pytest.raises(ConfigError, match=r"cannot be read: No such file.*; check the path"):
        load_config(tmp_path / "none.toml")


def test_the_line_that_is_no_toml_is_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\(at line 2, column 11\): d_model = large$"):
        config(tmp_path, "[model]\nd_model = large\nheads = 2\n")


def test_the_value_at_fault_is_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        config(tmp_path, '[model]\nd_model = "wide"\ndropout = 1.5\n[data]\nevent_types = "buy"\n')
    assert "model.d_model: Input should be a valid integer" in str(error.value)
    for shown in ("(found 'wide')", "less than 1 (found 1.5)", "(found 'buy')"):
        assert shown in str(error.value)


def test_settings_do_not_change_after_loading() -> None:
    with pytest.raises(ValueError, match="frozen"):
        RunConfig().model.d_model = 3  # type: ignore[misc]
