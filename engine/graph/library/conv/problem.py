"""The shape of a convolution, and its normal form in three spatial dimensions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod


@dataclass(frozen=True, slots=True)
class ConvProblem:
    """A convolution (cross-correlation) of contiguous N C [D] [H] W with O I [D] [H] W, 1 to 3 spatial dimensions.

    ``padding`` holds (before, after) for each spatial dimension. ``out_size`` is derived; input positions no kernel
    position reaches (a remainder of the stride) are allowed and get a zero gradient.
    """

    batch: int
    in_channels: int
    out_channels: int
    in_size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int = 1

    @property
    def out_size(self) -> tuple[int, ...]:
        """Spatial size of the output: ``(in + before + after - dilation * (kernel - 1) - 1) // stride + 1``."""
        return tuple(
            (n + lo + hi - d * (k - 1) - 1) // s + 1
            for n, k, s, (lo, hi), d in zip(
                self.in_size, self.kernel, self.stride, self.padding, self.dilation, strict=True
            )
        )

    @property
    def group_in(self) -> int:
        """Input channels of one group."""
        return self.in_channels // self.groups

    @property
    def group_out(self) -> int:
        """Output channels of one group."""
        return self.out_channels // self.groups

    @property
    def taps(self) -> int:
        """Kernel positions."""
        return prod(self.kernel)

    @property
    def in_pixels(self) -> int:
        """Input positions of one image and channel."""
        return prod(self.in_size)

    @property
    def out_pixels(self) -> int:
        """Output positions of one image and channel."""
        return prod(self.out_size)

    @property
    def x_elements(self) -> int:
        """Elements of the input."""
        return self.batch * self.in_channels * self.in_pixels

    @property
    def w_elements(self) -> int:
        """Elements of the weight."""
        return self.out_channels * self.group_in * self.taps

    @property
    def y_elements(self) -> int:
        """Elements of the output."""
        return self.batch * self.out_channels * self.out_pixels

    @property
    def flops(self) -> int:
        """Multiplications and additions of the forward pass."""
        return 2 * self.y_elements * self.group_in * self.taps

    @property
    def is_depthwise(self) -> bool:
        """One input channel a group."""
        return self.groups > 1 and self.groups == self.in_channels

    def normal(self) -> ConvProblem:
        """The same problem in three spatial dimensions, pointwise dimensions merged into the last one."""
        lead = 3 - len(self.in_size)
        p = replace(
            self,
            in_size=(1,) * lead + self.in_size,
            kernel=(1,) * lead + self.kernel,
            stride=(1,) * lead + self.stride,
            padding=((0, 0),) * lead + self.padding,
            dilation=(1,) * lead + self.dilation,
        )
        # A stride or dilation that is never used must not count.
        out = p.out_size
        p = replace(
            p,
            stride=tuple(
                1 if o == 1 and n <= k and lo == hi == 0 else s
                for o, n, k, s, (lo, hi) in zip(out, p.in_size, p.kernel, p.stride, p.padding, strict=True)
            ),
            dilation=tuple(1 if k == 1 else d for k, d in zip(p.kernel, p.dilation, strict=True)),
        )
        plain = [k == 1 and s == 1 and pad == (0, 0) for k, s, pad in zip(p.kernel, p.stride, p.padding, strict=True)]
        if all(plain):
            return replace(p, in_size=(1, 1, prod(p.in_size)))
        if plain[0] and plain[1]:
            return replace(p, in_size=(1, p.in_size[0] * p.in_size[1], p.in_size[2]))
        return p
