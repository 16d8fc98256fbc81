"""EfficientNet (arXiv:1905.11946) and EfficientNet V2 (arXiv:2104.00298)."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from .. import nn
from ..tensor import Tensor
from ._layers import (
    Conv2dNormActivation,
    ModuleType,
    SqueezeExcitation,
    StochasticDepth,
    init_convolutions,
    make_divisible,
)
from ._registry import model
from ._weights import weights_enum

EfficientNet_B0_Weights = weights_enum("EfficientNet_B0_Weights", __name__)
EfficientNet_B1_Weights = weights_enum("EfficientNet_B1_Weights", __name__)
EfficientNet_B2_Weights = weights_enum("EfficientNet_B2_Weights", __name__)
EfficientNet_B3_Weights = weights_enum("EfficientNet_B3_Weights", __name__)
EfficientNet_B4_Weights = weights_enum("EfficientNet_B4_Weights", __name__)
EfficientNet_B5_Weights = weights_enum("EfficientNet_B5_Weights", __name__)
EfficientNet_B6_Weights = weights_enum("EfficientNet_B6_Weights", __name__)
EfficientNet_B7_Weights = weights_enum("EfficientNet_B7_Weights", __name__)
EfficientNet_V2_S_Weights = weights_enum("EfficientNet_V2_S_Weights", __name__)
EfficientNet_V2_M_Weights = weights_enum("EfficientNet_V2_M_Weights", __name__)
EfficientNet_V2_L_Weights = weights_enum("EfficientNet_V2_L_Weights", __name__)


@dataclass
class _MBConvConfig:
    """One stage: expansion, kernel, stride of its first block, channels, number of blocks, class of the blocks."""

    expand_ratio: float
    kernel: int
    stride: int
    input_channels: int
    out_channels: int
    num_layers: int
    block: ModuleType

    @staticmethod
    def adjust_channels(channels: int, width_mult: float, min_value: int | None = None) -> int:
        """A scaled channel number, a multiple of 8."""
        return make_divisible(channels * width_mult, 8, min_value)


class MBConvConfig(_MBConvConfig):
    """A stage of MBConv blocks, scaled in width and depth."""

    def __init__(
        self,
        expand_ratio: float,
        kernel: int,
        stride: int,
        input_channels: int,
        out_channels: int,
        num_layers: int,
        width_mult: float = 1.0,
        depth_mult: float = 1.0,
        block: ModuleType | None = None,
    ) -> None:
        super().__init__(
            expand_ratio,
            kernel,
            stride,
            self.adjust_channels(input_channels, width_mult),
            self.adjust_channels(out_channels, width_mult),
            self.adjust_depth(num_layers, depth_mult),
            block or MBConv,
        )

    @staticmethod
    def adjust_depth(num_layers: int, depth_mult: float) -> int:
        """A scaled number of blocks, rounded up."""
        return math.ceil(num_layers * depth_mult)


class FusedMBConvConfig(_MBConvConfig):
    """A stage of FusedMBConv blocks."""

    def __init__(
        self,
        expand_ratio: float,
        kernel: int,
        stride: int,
        input_channels: int,
        out_channels: int,
        num_layers: int,
        block: ModuleType | None = None,
    ) -> None:
        super().__init__(expand_ratio, kernel, stride, input_channels, out_channels, num_layers, block or FusedMBConv)


class _Block(nn.Module):
    """What both kinds of blocks share: the shortcut with stochastic depth."""

    def __init__(self, cnf: _MBConvConfig, stochastic_depth_prob: float, layers: list[nn.Module]) -> None:
        super().__init__()
        self.use_res_connect = cnf.stride == 1 and cnf.input_channels == cnf.out_channels
        self.block = nn.Sequential(*layers)
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row")
        self.out_channels = cnf.out_channels

    def forward(self, input: Tensor) -> Tensor:
        """(N, input_channels, H, W) to (N, out_channels, H / stride, W / stride)."""
        result = self.block(input)
        if self.use_res_connect:
            result = self.stochastic_depth(result)
            result += input
        return result


def _check_stride(cnf: _MBConvConfig) -> None:
    if not 1 <= cnf.stride <= 2:
        raise ValueError("illegal stride value")


class MBConv(_Block):
    """1x1 convolution to more channels, one by channel, squeeze-excitation, 1x1 to fewer channels."""

    def __init__(
        self,
        cnf: MBConvConfig,
        stochastic_depth_prob: float,
        norm_layer: ModuleType,
        se_layer: ModuleType = SqueezeExcitation,
    ) -> None:
        _check_stride(cnf)
        options: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": nn.SiLU}
        wide = cnf.adjust_channels(cnf.input_channels, cnf.expand_ratio)
        layers: list[nn.Module] = []
        if wide != cnf.input_channels:
            layers.append(Conv2dNormActivation(cnf.input_channels, wide, kernel_size=1, **options))
        layers.append(Conv2dNormActivation(wide, wide, cnf.kernel, cnf.stride, groups=wide, **options))
        layers.append(se_layer(wide, max(1, cnf.input_channels // 4), activation=partial(nn.SiLU, inplace=True)))
        options["activation_layer"] = None
        layers.append(Conv2dNormActivation(wide, cnf.out_channels, kernel_size=1, **options))
        super().__init__(cnf, stochastic_depth_prob, layers)


class FusedMBConv(_Block):
    """A full convolution to more channels in place of the 1x1 one and the one by channel; no squeeze-excitation."""

    def __init__(self, cnf: FusedMBConvConfig, stochastic_depth_prob: float, norm_layer: ModuleType) -> None:
        _check_stride(cnf)
        options: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": nn.SiLU}
        wide = cnf.adjust_channels(cnf.input_channels, cnf.expand_ratio)
        one = wide == cnf.input_channels
        first = cnf.out_channels if one else wide
        layers: list[nn.Module] = [Conv2dNormActivation(cnf.input_channels, first, cnf.kernel, cnf.stride, **options)]
        if not one:
            options["activation_layer"] = None
            layers.append(Conv2dNormActivation(wide, cnf.out_channels, kernel_size=1, **options))
        super().__init__(cnf, stochastic_depth_prob, layers)


class EfficientNet(nn.Module):
    """EfficientNet of the given stages.

    Args:
        dropout: before the last layer.
        stochastic_depth_prob: probability of leaving out the last block; it falls linearly towards the first.
        norm_layer: the normalisation, BatchNorm2d by default.
        last_channel: channels before pooling; four times those of the last stage by default.
    """

    def __init__(
        self,
        inverted_residual_setting: Sequence[MBConvConfig | FusedMBConvConfig],
        dropout: float,
        stochastic_depth_prob: float = 0.2,
        num_classes: int = 1000,
        norm_layer: ModuleType | None = None,
        last_channel: int | None = None,
    ) -> None:
        super().__init__()
        if not inverted_residual_setting:
            raise ValueError("The inverted_residual_setting should not be empty")
        if not all(isinstance(cnf, _MBConvConfig) for cnf in inverted_residual_setting):
            raise TypeError("The inverted_residual_setting should be List[MBConvConfig]")
        norm = norm_layer or nn.BatchNorm2d
        options: dict[str, Any] = {"norm_layer": norm, "activation_layer": nn.SiLU}
        first, last = inverted_residual_setting[0].input_channels, inverted_residual_setting[-1].out_channels
        layers: list[nn.Module] = [Conv2dNormActivation(3, first, stride=2, **options)]
        total = sum(cnf.num_layers for cnf in inverted_residual_setting)
        done = 0
        for cnf in inverted_residual_setting:
            stage: list[nn.Module] = []
            for _ in range(cnf.num_layers):
                block = copy.copy(cnf)
                if stage:
                    block.input_channels, block.stride = block.out_channels, 1
                stage.append(block.block(block, stochastic_depth_prob * done / total, norm))
                done += 1
            layers.append(nn.Sequential(*stage))
        width = last_channel if last_channel is not None else 4 * last
        layers.append(Conv2dNormActivation(last, width, kernel_size=1, **options))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(p=dropout, inplace=True), nn.Linear(width, num_classes))
        init_convolutions(self)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                bound = 1.0 / math.sqrt(module.out_features)
                nn.init.uniform_(module.weight, -bound, bound)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) to scores (N, num_classes)."""
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


_STAGES = [
    (1, 3, 1, 32, 16, 1),
    (6, 3, 2, 16, 24, 2),
    (6, 5, 2, 24, 40, 2),
    (6, 3, 2, 40, 80, 3),
    (6, 5, 1, 80, 112, 3),
    (6, 5, 2, 112, 192, 4),
    (6, 3, 1, 192, 320, 1),
]
_V2_STAGES = {  # kind, expansion, kernel, stride, input and output channels, blocks
    "s": [
        (FusedMBConvConfig, 1, 3, 1, 24, 24, 2),
        (FusedMBConvConfig, 4, 3, 2, 24, 48, 4),
        (FusedMBConvConfig, 4, 3, 2, 48, 64, 4),
        (MBConvConfig, 4, 3, 2, 64, 128, 6),
        (MBConvConfig, 6, 3, 1, 128, 160, 9),
        (MBConvConfig, 6, 3, 2, 160, 256, 15),
    ],
    "m": [
        (FusedMBConvConfig, 1, 3, 1, 24, 24, 3),
        (FusedMBConvConfig, 4, 3, 2, 24, 48, 5),
        (FusedMBConvConfig, 4, 3, 2, 48, 80, 5),
        (MBConvConfig, 4, 3, 2, 80, 160, 7),
        (MBConvConfig, 6, 3, 1, 160, 176, 14),
        (MBConvConfig, 6, 3, 2, 176, 304, 18),
        (MBConvConfig, 6, 3, 1, 304, 512, 5),
    ],
    "l": [
        (FusedMBConvConfig, 1, 3, 1, 32, 32, 4),
        (FusedMBConvConfig, 4, 3, 2, 32, 64, 7),
        (FusedMBConvConfig, 4, 3, 2, 64, 96, 7),
        (MBConvConfig, 4, 3, 2, 96, 192, 10),
        (MBConvConfig, 6, 3, 1, 192, 224, 19),
        (MBConvConfig, 6, 3, 2, 224, 384, 25),
        (MBConvConfig, 6, 3, 1, 384, 640, 7),
    ],
}


def _b(width: float, depth: float, dropout: float, kwargs: dict[str, Any], **fixed: Any) -> EfficientNet:
    stages = [MBConvConfig(*stage, width_mult=width, depth_mult=depth) for stage in _STAGES]
    return EfficientNet(stages, kwargs.pop("dropout", dropout), **{**fixed, **kwargs})


def _v2(size: str, dropout: float, kwargs: dict[str, Any]) -> EfficientNet:
    stages = [kind(*stage) for kind, *stage in _V2_STAGES[size]]
    fixed = {"norm_layer": partial(nn.BatchNorm2d, eps=1e-03), "last_channel": 1280}
    return EfficientNet(stages, kwargs.pop("dropout", dropout), **{**fixed, **kwargs})


_LARGE_NORM = partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)


@model(EfficientNet_B0_Weights)
def efficientnet_b0(**kwargs: Any) -> EfficientNet:
    """EfficientNet B0."""
    return _b(1.0, 1.0, 0.2, kwargs)


@model(EfficientNet_B1_Weights)
def efficientnet_b1(**kwargs: Any) -> EfficientNet:
    """EfficientNet B1."""
    return _b(1.0, 1.1, 0.2, kwargs)


@model(EfficientNet_B2_Weights)
def efficientnet_b2(**kwargs: Any) -> EfficientNet:
    """EfficientNet B2."""
    return _b(1.1, 1.2, 0.3, kwargs)


@model(EfficientNet_B3_Weights)
def efficientnet_b3(**kwargs: Any) -> EfficientNet:
    """EfficientNet B3."""
    return _b(1.2, 1.4, 0.3, kwargs)


@model(EfficientNet_B4_Weights)
def efficientnet_b4(**kwargs: Any) -> EfficientNet:
    """EfficientNet B4."""
    return _b(1.4, 1.8, 0.4, kwargs)


@model(EfficientNet_B5_Weights)
def efficientnet_b5(**kwargs: Any) -> EfficientNet:
    """EfficientNet B5."""
    return _b(1.6, 2.2, 0.4, kwargs, norm_layer=_LARGE_NORM)


@model(EfficientNet_B6_Weights)
def efficientnet_b6(**kwargs: Any) -> EfficientNet:
    """EfficientNet B6."""
    return _b(1.8, 2.6, 0.5, kwargs, norm_layer=_LARGE_NORM)


@model(EfficientNet_B7_Weights)
def efficientnet_b7(**kwargs: Any) -> EfficientNet:
    """EfficientNet B7."""
    return _b(2.0, 3.1, 0.5, kwargs, norm_layer=_LARGE_NORM)


@model(EfficientNet_V2_S_Weights)
def efficientnet_v2_s(**kwargs: Any) -> EfficientNet:
    """EfficientNet V2, small."""
    return _v2("s", 0.2, kwargs)


@model(EfficientNet_V2_M_Weights)
def efficientnet_v2_m(**kwargs: Any) -> EfficientNet:
    """EfficientNet V2, medium."""
    return _v2("m", 0.3, kwargs)


@model(EfficientNet_V2_L_Weights)
def efficientnet_v2_l(**kwargs: Any) -> EfficientNet:
    """EfficientNet V2, large."""
    return _v2("l", 0.4, kwargs)
