"""Vision Transformer (arXiv:2010.11929)."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from .. import nn
from ..nn import functional as F
from ..ops import cat, empty, zeros
from ..tensor import Tensor
from ._layers import MLP, Conv2dNormActivation, ModuleType
from ._registry import model
from ._weights import WeightsEnum, weights_enum

ViT_B_16_Weights = weights_enum("ViT_B_16_Weights", __name__)
ViT_B_32_Weights = weights_enum("ViT_B_32_Weights", __name__)
ViT_L_16_Weights = weights_enum("ViT_L_16_Weights", __name__)
ViT_L_32_Weights = weights_enum("ViT_L_32_Weights", __name__)
ViT_H_14_Weights = weights_enum("ViT_H_14_Weights", __name__)

_POSITIONS = "encoder.pos_embedding"
_NORM = partial(nn.LayerNorm, eps=1e-6)


class ConvStemConfig(NamedTuple):
    """A convolution of a stem that replaces the patches (arXiv:2106.14881)."""

    out_channels: int
    kernel_size: int
    stride: int
    norm_layer: ModuleType = nn.BatchNorm2d
    activation_layer: ModuleType = nn.ReLU


class MLPBlock(MLP):
    """Two linear layers with GELU."""

    _version = 2

    def __init__(self, in_dim: int, mlp_dim: int, dropout: float) -> None:
        super().__init__(in_dim, [mlp_dim, in_dim], activation_layer=nn.GELU, inplace=None, dropout=dropout)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.normal_(module.bias, std=1e-6)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, local_metadata: Any, *args: Any) -> None:
        if (local_metadata.get("version") or 1) < 2:
            for old, new in (("linear_1", "0"), ("linear_2", "3")):
                for kind in ("weight", "bias"):
                    if f"{prefix}{old}.{kind}" in state_dict:
                        state_dict[f"{prefix}{new}.{kind}"] = state_dict.pop(f"{prefix}{old}.{kind}")
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)


class EncoderBlock(nn.Module):
    """Attention and MLP, each after a normalisation and beside a shortcut."""

    def __init__(
        self,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float,
        attention_dropout: float,
        norm_layer: ModuleType = _NORM,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.ln_1 = norm_layer(hidden_dim)
        self.self_attention = nn.MultiheadAttention(hidden_dim, num_heads, dropout=attention_dropout, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.ln_2 = norm_layer(hidden_dim)
        self.mlp = MLPBlock(hidden_dim, mlp_dim, dropout)

    def forward(self, input: Tensor) -> Tensor:
        """(N, tokens, hidden_dim) to the same shape."""
        x = self.ln_1(input)
        x, _ = self.self_attention(x, x, x, need_weights=False)
        x = self.dropout(x) + input
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    """Embeddings of the positions, then the blocks."""

    def __init__(
        self,
        seq_length: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float,
        attention_dropout: float,
        norm_layer: ModuleType = _NORM,
    ) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(empty(1, seq_length, hidden_dim).normal_(std=0.02))
        self.dropout = nn.Dropout(dropout)
        block = (num_heads, hidden_dim, mlp_dim, dropout, attention_dropout, norm_layer)
        self.layers = nn.Sequential(
            OrderedDict((f"encoder_layer_{i}", EncoderBlock(*block)) for i in range(num_layers))
        )
        self.ln = norm_layer(hidden_dim)

    def forward(self, input: Tensor) -> Tensor:
        """(N, tokens, hidden_dim) to the same shape."""
        return self.ln(self.layers(self.dropout(input + self.pos_embedding)))


class VisionTransformer(nn.Module):
    """A transformer over patches of an image.

    Args:
        image_size, patch_size: sides in pixels.
        hidden_dim, mlp_dim: widths of the tokens and inside the MLPs.
        representation_size: width of a further hidden layer before the scores; None: none.
        conv_stem_configs: convolutions instead of the patches.
    """

    def __init__(
        self,
        image_size: int,
        patch_size: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        num_classes: int = 1000,
        representation_size: int | None = None,
        norm_layer: ModuleType = _NORM,
        conv_stem_configs: list[ConvStemConfig] | None = None,
    ) -> None:
        super().__init__()
        if image_size % patch_size:
            raise AssertionError("Input shape indivisible by patch size!")
        self.image_size = image_size
        self.patch_size = patch_size
        self.hidden_dim = hidden_dim
        self.mlp_dim = mlp_dim
        self.attention_dropout = attention_dropout
        self.dropout = dropout
        self.num_classes = num_classes
        self.representation_size = representation_size
        self.norm_layer = norm_layer
        self.conv_proj = self._stem(conv_stem_configs)
        self.seq_length = (image_size // patch_size) ** 2 + 1
        self.class_token = nn.Parameter(zeros(1, 1, hidden_dim))
        self.encoder = Encoder(
            self.seq_length, num_layers, num_heads, hidden_dim, mlp_dim, dropout, attention_dropout, norm_layer
        )
        heads: OrderedDict[str, nn.Module] = OrderedDict()
        if representation_size is None:
            heads["head"] = nn.Linear(hidden_dim, num_classes)
        else:
            heads["pre_logits"] = nn.Linear(hidden_dim, representation_size)
            heads["act"] = nn.Tanh()
            heads["head"] = nn.Linear(representation_size, num_classes)
        self.heads = nn.Sequential(heads)
        self._init_weights()

    def _stem(self, configs: list[ConvStemConfig] | None) -> nn.Module:
        if configs is None:
            return nn.Conv2d(3, self.hidden_dim, kernel_size=self.patch_size, stride=self.patch_size)
        stem = nn.Sequential()
        channels = 3
        for i, config in enumerate(configs):
            layer = Conv2dNormActivation(
                channels,
                config.out_channels,
                config.kernel_size,
                config.stride,
                norm_layer=config.norm_layer,
                activation_layer=config.activation_layer,
            )
            stem.add_module(f"conv_bn_relu_{i}", layer)
            channels = config.out_channels
        stem.add_module("conv_last", nn.Conv2d(channels, self.hidden_dim, kernel_size=1))
        return stem

    def _init_weights(self) -> None:
        if isinstance(self.conv_proj, nn.Conv2d):
            conv = self.conv_proj
            fan_in = conv.in_channels * conv.kernel_size[0] * conv.kernel_size[1]
            nn.init.trunc_normal_(conv.weight, std=math.sqrt(1 / fan_in))
        else:
            conv = self.conv_proj.conv_last
            nn.init.normal_(conv.weight, mean=0.0, std=math.sqrt(2.0 / conv.out_channels))
        nn.init.zeros_(conv.bias)
        if self.representation_size is not None:
            hidden = self.heads.pre_logits
            nn.init.trunc_normal_(hidden.weight, std=math.sqrt(1 / hidden.in_features))
            nn.init.zeros_(hidden.bias)
        nn.init.zeros_(self.heads.head.weight)
        nn.init.zeros_(self.heads.head.bias)

    def _process_input(self, x: Tensor) -> Tensor:
        """Images as patches in rows: (N, 3, H, W) to (N, patches, hidden_dim)."""
        if tuple(x.shape[-2:]) != (self.image_size, self.image_size):
            raise AssertionError(f"Wrong image size! Expected {self.image_size} but got {tuple(x.shape[-2:])}!")
        return self.conv_proj(x).flatten(2).permute(0, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, image_size, image_size) to scores (N, num_classes)."""
        x = self._process_input(x)
        token = self.class_token.expand(x.shape[0], -1, -1)
        x = self.encoder(cat([token, x], 1))
        return self.heads(x[:, 0])


def interpolate_embeddings(
    image_size: int,
    patch_size: int,
    model_state: Mapping[str, Any],
    interpolation_mode: str = "bicubic",
    reset_heads: bool = False,
) -> Mapping[str, Any]:
    """A state_dict whose position embeddings fit another image size; without the last layers with ``reset_heads``."""
    positions = model_state[_POSITIONS]
    count, length, width = positions.shape
    if count != 1:
        raise ValueError(f"Unexpected position embedding shape: {tuple(positions.shape)}")
    side = image_size // patch_size
    if side**2 + 1 == length:
        return model_state
    old = math.isqrt(length - 1)
    if old * old != length - 1:
        raise ValueError(f"seq_length is not a perfect square! Instead got {old * old} != {length - 1}")
    token, grid = positions[:, :1], positions[:, 1:]
    grid = grid.permute(0, 2, 1).reshape(1, width, old, old)
    grid = F.interpolate(grid, size=side, mode=interpolation_mode, align_corners=True)
    grid = grid.reshape(1, width, side * side).permute(0, 2, 1)
    state = OrderedDict(model_state)
    state[_POSITIONS] = cat([token, grid], 1)
    if reset_heads:
        state = OrderedDict((key, value) for key, value in state.items() if not key.startswith("heads"))
    return state


def _image_size(weights: WeightsEnum) -> dict[str, Any]:
    return {"image_size": weights.meta["min_size"][0]}


def _vit(patch: int, layers: int, heads: int, hidden: int, kwargs: dict[str, Any]) -> VisionTransformer:
    return VisionTransformer(kwargs.pop("image_size", 224), patch, layers, heads, hidden, 4 * hidden, **kwargs)


@model(ViT_B_16_Weights, arguments=_image_size)
def vit_b_16(**kwargs: Any) -> VisionTransformer:
    """ViT, base, patches of 16 pixels."""
    return _vit(16, 12, 12, 768, kwargs)


@model(ViT_B_32_Weights, arguments=_image_size)
def vit_b_32(**kwargs: Any) -> VisionTransformer:
    """ViT, base, patches of 32 pixels."""
    return _vit(32, 12, 12, 768, kwargs)


@model(ViT_L_16_Weights, arguments=_image_size)
def vit_l_16(**kwargs: Any) -> VisionTransformer:
    """ViT, large, patches of 16 pixels."""
    return _vit(16, 24, 16, 1024, kwargs)


@model(ViT_L_32_Weights, arguments=_image_size)
def vit_l_32(**kwargs: Any) -> VisionTransformer:
    """ViT, large, patches of 32 pixels."""
    return _vit(32, 24, 16, 1024, kwargs)


@model(ViT_H_14_Weights, arguments=_image_size)
def vit_h_14(**kwargs: Any) -> VisionTransformer:
    """ViT, huge, patches of 14 pixels."""
    return _vit(14, 32, 16, 1280, kwargs)
