"""MobileNet V3 (arXiv:1905.02244)."""

from __future__ import annotations

from functools import partial
from typing import Any

from .. import nn
from ..tensor import Tensor
from ._layers import Conv2dNormActivation, ModuleType, SqueezeExcitation, init_convolutions, make_divisible
from ._registry import model
from ._weights import weights_enum

MobileNet_V3_Large_Weights = weights_enum("MobileNet_V3_Large_Weights", __name__)
MobileNet_V3_Small_Weights = weights_enum("MobileNet_V3_Small_Weights", __name__)

# input channels, kernel, expanded channels, output channels, squeeze-excitation, activation, stride
_LARGE = [
    (16, 3, 16, 16, False, "RE", 1),
    (16, 3, 64, 24, False, "RE", 2),
    (24, 3, 72, 24, False, "RE", 1),
    (24, 5, 72, 40, True, "RE", 2),
    (40, 5, 120, 40, True, "RE", 1),
    (40, 5, 120, 40, True, "RE", 1),
    (40, 3, 240, 80, False, "HS", 2),
    (80, 3, 200, 80, False, "HS", 1),
    (80, 3, 184, 80, False, "HS", 1),
    (80, 3, 184, 80, False, "HS", 1),
    (80, 3, 480, 112, True, "HS", 1),
    (112, 3, 672, 112, True, "HS", 1),
    (112, 5, 672, 160, True, "HS", 2),
    (160, 5, 960, 160, True, "HS", 1),
    (160, 5, 960, 160, True, "HS", 1),
]
_SMALL = [
    (16, 3, 16, 16, True, "RE", 2),
    (16, 3, 72, 24, False, "RE", 2),
    (24, 3, 88, 24, False, "RE", 1),
    (24, 5, 96, 40, True, "HS", 2),
    (40, 5, 240, 40, True, "HS", 1),
    (40, 5, 240, 40, True, "HS", 1),
    (40, 5, 120, 48, True, "HS", 1),
    (48, 5, 144, 48, True, "HS", 1),
    (48, 5, 288, 96, True, "HS", 2),
    (96, 5, 576, 96, True, "HS", 1),
    (96, 5, 576, 96, True, "HS", 1),
]
_SQUEEZE = partial(SqueezeExcitation, scale_activation=nn.Hardsigmoid)
_TAIL = 3  # blocks of the last stage, which may be thinned out or dilated


class InvertedResidualConfig:
    """One block: channels (scaled by ``width_mult``), kernel, activation ("HS" or "RE"), stride, dilation."""

    def __init__(
        self,
        input_channels: int,
        kernel: int,
        expanded_channels: int,
        out_channels: int,
        use_se: bool,
        activation: str,
        stride: int,
        dilation: int,
        width_mult: float,
    ) -> None:
        self.input_channels = self.adjust_channels(input_channels, width_mult)
        self.kernel = kernel
        self.expanded_channels = self.adjust_channels(expanded_channels, width_mult)
        self.out_channels = self.adjust_channels(out_channels, width_mult)
        self.use_se = use_se
        self.use_hs = activation == "HS"
        self.stride = stride
        self.dilation = dilation

    @staticmethod
    def adjust_channels(channels: int, width_mult: float) -> int:
        """A scaled channel number, a multiple of 8."""
        return make_divisible(channels * width_mult, 8)


class InvertedResidual(nn.Module):
    """MobileNet V2's block with squeeze-excitation and a choice of activation."""

    def __init__(
        self,
        cnf: InvertedResidualConfig,
        norm_layer: ModuleType,
        se_layer: ModuleType = _SQUEEZE,
    ) -> None:
        super().__init__()
        if not 1 <= cnf.stride <= 2:
            raise ValueError("illegal stride value")
        self.use_res_connect = cnf.stride == 1 and cnf.input_channels == cnf.out_channels
        wide = cnf.expanded_channels
        options: dict[str, Any] = {
            "norm_layer": norm_layer,
            "activation_layer": nn.Hardswish if cnf.use_hs else nn.ReLU,
        }
        layers: list[nn.Module] = []
        if wide != cnf.input_channels:
            layers.append(Conv2dNormActivation(cnf.input_channels, wide, kernel_size=1, **options))
        stride = 1 if cnf.dilation > 1 else cnf.stride
        layers.append(
            Conv2dNormActivation(wide, wide, cnf.kernel, stride, groups=wide, dilation=cnf.dilation, **options)
        )
        if cnf.use_se:
            layers.append(se_layer(wide, make_divisible(wide // 4, 8)))
        options["activation_layer"] = None
        layers.append(Conv2dNormActivation(wide, cnf.out_channels, kernel_size=1, **options))
        self.block = nn.Sequential(*layers)
        self.out_channels = cnf.out_channels
        self._is_cn = cnf.stride > 1

    def forward(self, input: Tensor) -> Tensor:
        """(N, input_channels, H, W) to (N, out_channels, H / stride, W / stride)."""
        result = self.block(input)
        return result + input if self.use_res_connect else result


class MobileNetV3(nn.Module):
    """MobileNet V3 of the given blocks, with ``last_channel`` channels before the last layer."""

    def __init__(
        self,
        inverted_residual_setting: list[InvertedResidualConfig],
        last_channel: int,
        num_classes: int = 1000,
        block: ModuleType | None = None,
        norm_layer: ModuleType | None = None,
        dropout: float = 0.2,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if not inverted_residual_setting:
            raise ValueError("The inverted_residual_setting should not be empty")
        if not all(isinstance(cnf, InvertedResidualConfig) for cnf in inverted_residual_setting):
            raise TypeError("The inverted_residual_setting should be List[InvertedResidualConfig]")
        block = block or InvertedResidual
        norm = norm_layer or partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
        options: dict[str, Any] = {"norm_layer": norm, "activation_layer": nn.Hardswish}
        first, last = inverted_residual_setting[0].input_channels, inverted_residual_setting[-1].out_channels
        self.features = nn.Sequential(
            Conv2dNormActivation(3, first, stride=2, **options),
            *(block(cnf, norm) for cnf in inverted_residual_setting),
            Conv2dNormActivation(last, 6 * last, kernel_size=1, **options),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(6 * last, last_channel),
            nn.Hardswish(inplace=True),
            nn.Dropout(p=dropout, inplace=True),
            nn.Linear(last_channel, num_classes),
        )
        init_convolutions(self, linear_std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) to scores (N, num_classes)."""
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def _setting(
    table: list[tuple], last_channel: int, width_mult: float = 1.0, reduced_tail: bool = False, dilated: bool = False
) -> tuple[list[InvertedResidualConfig], int]:
    """Blocks of a table; the last stage with half the channels, or dilated, where asked for (for segmentation)."""
    reduce = 2 if reduced_tail else 1
    blocks = []
    for i, (inp, kernel, wide, out, *rest) in enumerate(table):
        place = i - (len(table) - _TAIL)
        if place >= 0:
            out //= reduce
        if place >= 1:
            inp, wide = inp // reduce, wide // reduce
        blocks.append(
            InvertedResidualConfig(inp, kernel, wide, out, *rest, 2 if dilated and place >= 0 else 1, width_mult)
        )
    return blocks, InvertedResidualConfig.adjust_channels(last_channel // reduce, width_mult)


def _pick(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {name: kwargs.pop(name) for name in ("width_mult", "reduced_tail", "dilated") if name in kwargs}


@model(MobileNet_V3_Large_Weights)
def mobilenet_v3_large(**kwargs: Any) -> MobileNetV3:
    """MobileNet V3, large."""
    return MobileNetV3(*_setting(_LARGE, 1280, **_pick(kwargs)), **kwargs)


@model(MobileNet_V3_Small_Weights)
def mobilenet_v3_small(**kwargs: Any) -> MobileNetV3:
    """MobileNet V3, small."""
    return MobileNetV3(*_setting(_SMALL, 1024, **_pick(kwargs)), **kwargs)
