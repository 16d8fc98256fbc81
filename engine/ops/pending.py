"""Names still being written; each entry goes as soon as its file has the real one."""

from __future__ import annotations

from typing import Any

from .op import function, registry

_NAMES = """gelu silu mish elu selu celu leaky_relu hardtanh hardswish hardsigmoid hardshrink softshrink tanhshrink softplus
softsign threshold logsigmoid prelu rrelu glu relu6 l1_loss smooth_l1_loss huber_loss kl_div nll_loss cross_entropy
binary_cross_entropy_with_logits batch_norm layer_norm group_norm instance_norm rms_norm dropout embedding conv1d conv2d
conv3d conv_transpose1d conv_transpose2d conv_transpose3d max_pool1d max_pool2d max_pool3d max_pool1d_with_indices
max_pool2d_with_indices max_pool3d_with_indices avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d
adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d scaled_dot_product_attention
constant_pad_nd lerp""".split()


def _declare(name: str) -> None:
    def call(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(name)

    call.__name__ = name
    function(name, method=False)(call)


for _name in _NAMES:
    if _name not in registry:
        _declare(_name)
