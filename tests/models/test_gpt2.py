"""GPT-2: numbers made with Hugging Face's implementation for the same weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import engine
from engine.models import GPT2Config, GPT2LMHeadModel, gpt2

CONFIG = GPT2Config(vocab_size=50, n_positions=24, n_embd=32, n_layer=2, n_head=4)
CONTINUED = [
    [23, 25, 37, 46, 1, 7, 40, 46, 12, 15, 6, 6, 6, 6, 6, 6, 6, 6],
    [42, 20, 13, 40, 12, 20, 31, 26, 4, 1, 1, 6, 6, 6, 6, 6, 6, 6],
]
LOSS = 3.8213844299316406


@pytest.fixture(scope="module")
def model() -> GPT2LMHeadModel:
    made = GPT2LMHeadModel(CONFIG).eval()
    rng = np.random.default_rng(0)
    with engine.no_grad():
        for parameter in made.parameters():
            values = rng.normal(0, 0.3, tuple(parameter.shape)).astype(np.float32)
            parameter.copy_(engine.from_numpy(values))
    return made


@pytest.fixture(scope="module")
def ids() -> engine.Tensor:
    return engine.from_numpy(np.random.default_rng(1).integers(0, 49, (2, 10)))


def test_keys_are_hugging_faces(model: GPT2LMHeadModel) -> None:
    keys = list(model.state_dict())
    assert keys[:4] == [
        "transformer.wte.weight",
        "transformer.wpe.weight",
        "transformer.h.0.ln_1.weight",
        "transformer.h.0.ln_1.bias",
    ]
    assert keys[-3:] == ["transformer.ln_f.weight", "transformer.ln_f.bias", "lm_head.weight"] and len(keys) == 29
    assert model.transformer.h[0].attn.c_attn.weight.shape == (32, 96)
    assert model.lm_head.weight is model.transformer.wte.weight


@pytest.mark.parametrize(("name", "count"), [("gpt2", 124439808), ("gpt2-medium", 354823168), ("gpt2-xl", 1557611200)])
def test_sizes(name: str, count: int) -> None:
    with engine.device("meta"):
        assert sum(p.numel() for p in gpt2(name).parameters()) == count


def test_loss_and_greedy_continuation(model: GPT2LMHeadModel, ids: engine.Tensor) -> None:
    assert model(ids, labels=ids).loss.item() == pytest.approx(LOSS, abs=1e-5)
    assert model.generate(ids, 8).tolist() == CONTINUED


def test_cache_changes_nothing(model: GPT2LMHeadModel, ids: engine.Tensor) -> None:
    whole = model(ids).logits
    first = model(ids[:, :4], use_cache=True)
    rest = model(ids[:, 4:], past_key_values=first.past_key_values)
    np.testing.assert_allclose(rest.logits.detach().numpy(), whole[:, 4:].detach().numpy(), atol=2e-5)


def test_padding_on_the_left(model: GPT2LMHeadModel, ids: engine.Tensor) -> None:
    mask = engine.ones(2, 10, dtype=engine.int64)
    mask[0, :3] = 0
    padded = model(ids, attention_mask=mask).logits[0, 3:]
    alone = model(ids[:1, 3:]).logits[0]
    np.testing.assert_allclose(padded.detach().numpy(), alone.detach().numpy(), atol=2e-5)


def test_generation_options(model: GPT2LMHeadModel, ids: engine.Tensor) -> None:
    assert model.generate(ids, 20).shape == (2, 30)  # past the model's positions
    ended = model.generate(ids, 14, eos_token_id=6)
    assert ended.shape == (2, 12) and ended[0, 10:].tolist() == [6, 6]
    engine.manual_seed(0)
    sampled = model.generate(ids, 6, do_sample=True, top_k=1, temperature=0.7)
    assert sampled.tolist() == [row[:16] for row in CONTINUED]  # the likeliest token only
    drawn = model.generate(ids, 5, do_sample=True, top_p=0.9)
    assert drawn.shape == (2, 15) and int(drawn.max()) < 50
    with pytest.raises(ValueError, match="positions"):
        model(engine.zeros(1, 25, dtype=engine.int64))


def test_loading_a_folder(model: GPT2LMHeadModel, ids: engine.Tensor, tmp_path: Path) -> None:
    state = {k.removeprefix("transformer."): v for k, v in model.state_dict().items() if k != "lm_head.weight"}
    state["h.0.attn.bias"] = engine.ones(1, 1, 24, 24)  # a causal mask, as the published files have
    engine.save(state, tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text(
        '{"vocab_size": 50, "n_positions": 24, "n_embd": 32, "n_layer": 2, "n_head": 4, "model_type": "gpt2"}'
    )
    loaded = GPT2LMHeadModel.from_pretrained(tmp_path)
    assert loaded.generate(ids, 8).tolist() == CONTINUED and not loaded.training
    with pytest.raises(FileNotFoundError, match="put model.safetensors"):
        GPT2LMHeadModel.from_pretrained(tmp_path / "nothing")
