"""GPT-2 with the weight names of Hugging Face's files, so that those load unchanged.

Source: Radford et al., "Language Models are Unsupervised Multitask Learners" (2019).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from .. import hub, nn, ops
from ..autograd import no_grad
from ..nn import functional as F
from ..serialization import load
from ..serialization.safetensors import load_file
from ..tensor import Tensor

Cache = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class GPT2Config:
    """Sizes of a GPT-2, by the names in Hugging Face's config.json."""

    vocab_size: int = 50257
    n_positions: int = 1024
    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    n_inner: int | None = None
    activation_function: str = "gelu_new"
    resid_pdrop: float = 0.1
    embd_pdrop: float = 0.1
    attn_pdrop: float = 0.1
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02
    bos_token_id: int = 50256
    eos_token_id: int = 50256

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> GPT2Config:
        """From a config.json's content; entries that are not sizes are left out."""
        names = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in names})


CONFIGS = {
    "gpt2": GPT2Config(),
    "gpt2-medium": GPT2Config(n_embd=1024, n_layer=24, n_head=16),
    "gpt2-large": GPT2Config(n_embd=1280, n_layer=36, n_head=20),
    "gpt2-xl": GPT2Config(n_embd=1600, n_layer=48, n_head=25),
}

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "gelu": F.gelu,
    "relu": F.relu,
    "silu": F.silu,
}


class GPT2Output(NamedTuple):
    """loss (None without labels), logits (N, T, vocab_size), the keys and values so far (None unless asked for)."""

    loss: Tensor | None
    logits: Tensor
    past_key_values: Cache | None


class Conv1D(nn.Module):
    """A linear layer whose weight is stored as (in, out)."""

    def __init__(self, nf: int, nx: int) -> None:
        super().__init__()
        self.nf = nf
        self.nx = nx
        self.weight = nn.Parameter(ops.empty(nx, nf).normal_(std=0.02))
        self.bias = nn.Parameter(ops.zeros(nf))

    def forward(self, x: Tensor) -> Tensor:
        """(..., nx) to (..., nf)."""
        return F.linear(x, self.weight.t(), self.bias)

    def extra_repr(self) -> str:
        """Sizes for printing."""
        return f"nf={self.nf}, nx={self.nx}"


class GPT2Attention(nn.Module):
    """Causal attention of several heads, with keys and values of earlier positions in a cache."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        if config.n_embd % config.n_head:
            raise ValueError(f"n_embd={config.n_embd} is no multiple of n_head={config.n_head}")
        self.num_heads = config.n_head
        self.dropout = config.attn_pdrop
        self.c_attn = Conv1D(3 * config.n_embd, config.n_embd)
        self.c_proj = Conv1D(config.n_embd, config.n_embd)
        self.resid_dropout = nn.Dropout(config.resid_pdrop)

    def forward(
        self, x: Tensor, past: tuple[Tensor, Tensor] | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(N, T, n_embd) to the same shape, and the keys and values (N, heads, positions, size) including the past."""
        batch, length, width = x.shape
        heads = (batch, length, self.num_heads, width // self.num_heads)
        query, key, value = (part.reshape(heads).transpose(1, 2) for part in self.c_attn(x).split(width, dim=2))
        if past is not None:
            key, value = ops.cat((past[0], key), 2), ops.cat((past[1], value), 2)
        rate = self.dropout if self.training else 0.0
        out = F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=rate, is_causal=mask is None and length > 1
        )
        out = out.transpose(1, 2).reshape(batch, length, width)
        return self.resid_dropout(self.c_proj(out)), (key, value)


class GPT2MLP(nn.Module):
    """Two linear layers."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        inner = config.n_inner or 4 * config.n_embd
        self.c_fc = Conv1D(inner, config.n_embd)
        self.c_proj = Conv1D(config.n_embd, inner)
        self.act = _ACTIVATIONS[config.activation_function]
        self.dropout = nn.Dropout(config.resid_pdrop)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, n_embd) to the same shape."""
        return self.dropout(self.c_proj(self.act(self.c_fc(x))))


class GPT2Block(nn.Module):
    """Attention and MLP, each after a normalisation and beside a shortcut."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.attn = GPT2Attention(config)
        self.ln_2 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.mlp = GPT2MLP(config)

    def forward(
        self, x: Tensor, past: tuple[Tensor, Tensor] | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(N, T, n_embd) to the same shape, and the keys and values."""
        attended, cache = self.attn(self.ln_1(x), past, mask)
        x = x + attended
        return x + self.mlp(self.ln_2(x)), cache


class GPT2Model(nn.Module):
    """The network without its last layer: token numbers to hidden states."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.n_positions, config.n_embd)
        self.drop = nn.Dropout(config.embd_pdrop)
        self.h = nn.ModuleList(GPT2Block(config) for _ in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        _init_weights(self, config)

    def forward(
        self, input_ids: Tensor, past_key_values: Cache | None = None, attention_mask: Tensor | None = None
    ) -> tuple[Tensor, Cache]:
        """Hidden states (N, T, n_embd) of token numbers (N, T) that follow the past; and keys and values.

        attention_mask: (N, past + T), 0 where there is padding. ValueError past ``n_positions``.
        """
        before = past_key_values[0][0].shape[2] if past_key_values else 0
        length = input_ids.shape[-1]
        if before + length > self.config.n_positions:
            raise ValueError(f"{before + length} positions, but the model has {self.config.n_positions}")
        mask = (
            _mask(attention_mask, before, length, input_ids.device)
            if _needs_mask(attention_mask, before, length)
            else None
        )
        x = self.wte(input_ids) + self.wpe(_positions(attention_mask, before, length, input_ids.device))
        x = self.drop(x)
        cache: Cache = []
        for i, block in enumerate(self.h):
            x, kept = block(x, past_key_values[i] if past_key_values else None, mask)
            cache.append(kept)
        return self.ln_f(x), cache


def _needs_mask(attention_mask: Tensor | None, before: int, length: int) -> bool:
    """Without padding, plain causality says it all: for one token, or when there is no past."""
    return attention_mask is not None or (before > 0 and length > 1)


def _mask(attention_mask: Tensor | None, before: int, length: int, device: Any) -> Tensor:
    """(1 or N, 1, T, past + T), True where a position may look."""
    total = before + length
    rows = ops.arange(before, total, device=device).reshape(1, 1, length, 1)
    columns = ops.arange(total, device=device).reshape(1, 1, 1, total)
    allowed = columns <= rows
    if attention_mask is None:
        return allowed
    # A padded position looks at itself, so that no row is empty.
    return allowed & (attention_mask.bool()[:, None, None, :] | (columns == rows))


def _positions(attention_mask: Tensor | None, before: int, length: int, device: Any) -> Tensor:
    """Numbers of the positions, which do not count padding."""
    if attention_mask is None:
        return ops.arange(before, before + length, device=device)
    return (attention_mask.long().cumsum(-1) - 1).clamp(min=0)[:, before:]


def _init_weights(root: nn.Module, config: GPT2Config) -> None:
    """Normal weights; those that end in a shortcut are smaller by the square root of their number."""
    for name, module in root.named_modules():
        if isinstance(module, (Conv1D, nn.Linear, nn.Embedding)):
            std = config.initializer_range
            if name.endswith("c_proj"):
                std /= math.sqrt(2 * config.n_layer)
            nn.init.normal_(module.weight, std=std)
            if getattr(module, "bias", None) is not None:
                nn.init.zeros_(module.bias)


class GPT2LMHeadModel(nn.Module):
    """GPT-2 as a language model; the last layer's weight is the token embedding.

    The state_dict has Hugging Face's keys: ``transformer.wte.weight``, ``transformer.h.0.attn.c_attn.weight`` ...
    """

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.config = config
        self.transformer = GPT2Model(config)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.lm_head.weight = self.transformer.wte.weight

    def forward(
        self,
        input_ids: Tensor,
        past_key_values: Cache | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool = False,
    ) -> GPT2Output:
        """Scores of the next token at each position of ``input_ids`` (N, T).

        labels: token numbers (N, T), usually ``input_ids`` itself: the loss is the mean cross-entropy of each next
        token;
        -100 is left out.
        """
        hidden, cache = self.transformer(input_ids, past_key_values, attention_mask)
        logits = self.lm_head(hidden)
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
        return GPT2Output(loss, logits, cache if use_cache else None)

    @no_grad()
    def generate(
        self,
        input_ids: Tensor,
        max_new_tokens: int = 20,
        *,
        do_sample: bool = False,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        eos_token_id: int | None = None,
        generator: Any = None,
    ) -> Tensor:
        """Continue token numbers (N, T); returns (N, T + new), shorter if all rows came to ``eos_token_id``.

        Args:
            do_sample: draw from the distribution (given temperature, the ``top_k`` likeliest tokens, those that make
                up the probability ``top_p``) instead of taking the likeliest token.
            eos_token_id: ends a row, which is then filled up with it.

        The model is put into eval mode meanwhile. Past ``n_positions`` only the last ones are looked at.
        """
        training = self.training
        self.eval()
        try:
            ids = input_ids
            for token in self._tokens(input_ids, max_new_tokens, do_sample, temperature, top_k, top_p, generator):
                if eos_token_id is not None:
                    ended = (ids[:, input_ids.shape[1] :] == eos_token_id).any(1, keepdim=True)
                    token = token.masked_fill(ended, eos_token_id)
                ids = ops.cat((ids, token), 1)
                if eos_token_id is not None and bool((ids[:, input_ids.shape[1] :] == eos_token_id).any(1).all()):
                    break
            return ids
        finally:
            self.train(training)

    def _tokens(
        self,
        ids: Tensor,
        count: int,
        sample: bool,
        temperature: float,
        top_k: int | None,
        top_p: float | None,
        rng: Any,
    ) -> Iterator[Tensor]:
        """New tokens (N, 1), one after the other."""
        cache: Cache | None = None
        fresh = ids = ids[:, -self.config.n_positions :]
        for _ in range(count):
            if cache is not None and cache[0][0].shape[2] + fresh.shape[1] > self.config.n_positions:
                cache, fresh = None, ids[:, -self.config.n_positions :]
            out = self(fresh, past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            scores = out.logits[:, -1]
            if sample:
                fresh = ops.multinomial(_limited(scores / temperature, top_k, top_p).softmax(-1), 1, generator=rng)
            else:
                fresh = scores.argmax(-1, keepdim=True)
            ids = ops.cat((ids, fresh), 1)
            yield fresh

    @classmethod
    def from_pretrained(cls, source: str | os.PathLike, **changes: Any) -> GPT2LMHeadModel:
        """A model with the weights of a folder (model.safetensors or pytorch_model.bin, config.json) or a file.

        "gpt2", "gpt2-medium", "gpt2-large" and "gpt2-xl" are looked for in the cache folder (``hub.get_dir()``).
        FileNotFoundError if there is nothing, saying where to put it.
        """
        path = _find(source)
        config = _read_config(path, source)
        made = cls(replace(config, **changes))
        made.load_state_dict(_hf_keys(_read_state(path)))
        return made.eval()


def _limited(scores: Tensor, top_k: int | None, top_p: float | None) -> Tensor:
    """Scores with -inf for all tokens but the likeliest."""
    if top_k is not None:
        least = scores.topk(min(top_k, scores.shape[-1]))[0][..., -1:]
        scores = scores.masked_fill(scores < least, -math.inf)
    if top_p is not None:
        ordered, order = scores.sort(-1, descending=True)
        share = ordered.softmax(-1)
        unwanted = share.cumsum(-1) - share >= top_p
        scores = scores.masked_fill(unwanted.gather(-1, order.argsort(-1)), -math.inf)
    return scores


_FILES = ("model.safetensors", "pytorch_model.bin")


def _find(source: str | os.PathLike) -> Path:
    """The file of weights that a path or name stands for."""
    path = Path(source)
    if str(source) in CONFIGS and not path.exists():
        path = Path(hub.get_dir()) / "checkpoints" / str(source)
    candidates = [path, path.with_suffix(".safetensors"), path.with_suffix(".bin")]
    candidates += [path / name for name in _FILES]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(
        f"no weights for {str(source)!r}: put model.safetensors (or pytorch_model.bin) and config.json of that model, "
        f"as published on the Hugging Face hub, into {path}, or give the path of such a folder or file"
    )


def _read_config(path: Path, source: str | os.PathLike) -> GPT2Config:
    beside = path.parent / "config.json"
    if beside.is_file():
        return GPT2Config.from_dict(json.loads(beside.read_text(encoding="utf-8")))
    if str(source) in CONFIGS:
        return CONFIGS[str(source)]
    for name, config in CONFIGS.items():
        if path.stem == name:
            return config
    raise FileNotFoundError(f"there is no config.json beside {path}")


def _read_state(path: Path) -> Mapping[str, Any]:
    return load_file(path) if path.suffix == ".safetensors" else load(path, map_location="cpu")


def _hf_keys(state: Mapping[str, Any]) -> dict[str, Any]:
    """Keys of a published file as the language model's: a prefix where it lacks, without the stored causal masks."""
    out = {}
    for key, value in state.items():
        if key.endswith((".attn.bias", ".attn.masked_bias")):
            continue
        out[key if key.startswith(("transformer.", "lm_head.")) else f"transformer.{key}"] = value
    out.setdefault("lm_head.weight", out["transformer.wte.weight"])
    return out


def gpt2(name: str = "gpt2", *, weights: Any = None, **changes: Any) -> GPT2LMHeadModel:
    """A GPT-2 language model: "gpt2" (124 M parameters), "gpt2-medium", "gpt2-large" or "gpt2-xl".

    Args:
        weights: None for new ones, True for those in the cache, a path, or a state_dict.
        changes: fields of GPT2Config to change.
    """
    if name not in CONFIGS:
        raise ValueError(f"unknown GPT-2 {name!r}; there are: {', '.join(CONFIGS)}")
    if weights is None:
        return GPT2LMHeadModel(replace(CONFIGS[name], **changes))
    if isinstance(weights, Mapping):
        made = GPT2LMHeadModel(replace(CONFIGS[name], **changes))
        made.load_state_dict(_hf_keys(weights))
        return made
    return GPT2LMHeadModel.from_pretrained(name if weights is True else weights, **changes)


def gpt2_medium(**kwargs: Any) -> GPT2LMHeadModel:
    """GPT-2 with 355 M parameters."""
    return gpt2("gpt2-medium", **kwargs)


def gpt2_large(**kwargs: Any) -> GPT2LMHeadModel:
    """GPT-2 with 774 M parameters."""
    return gpt2("gpt2-large", **kwargs)


def gpt2_xl(**kwargs: Any) -> GPT2LMHeadModel:
    """GPT-2 with 1558 M parameters."""
    return gpt2("gpt2-xl", **kwargs)
