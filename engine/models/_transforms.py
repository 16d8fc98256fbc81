"""Preprocessing of images for classification."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dtypes import float32
from ..nn import functional as F
from ..ops import tensor
from ..ops.creation import from_array
from ..tensor import Tensor

_PIL_FILTERS = {"nearest": 0, "bilinear": 2, "bicubic": 3}


class ImageClassification:
    """Resize the shorter side, cut the centre out, scale to [0, 1], normalise by channel.

    Args:
        crop_size: side of the square that is cut out, pixels.
        resize_size: length of the shorter side before that, pixels.
        mean, std: of each channel.
        interpolation: "bilinear", "bicubic" or "nearest"; with antialiasing.

    Call it with a PIL image or a tensor (..., C, H, W) of uint8 or floats in [0, 1]; returns float32 (..., C, crop,
    crop).
    """

    def __init__(
        self,
        *,
        crop_size: int,
        resize_size: int = 256,
        mean: tuple[float, ...] = (0.485, 0.456, 0.406),
        std: tuple[float, ...] = (0.229, 0.224, 0.225),
        interpolation: str = "bilinear",
        antialias: bool | None = True,
    ) -> None:
        self.crop_size = [crop_size]
        self.resize_size = [resize_size]
        self.mean = list(mean)
        self.std = list(std)
        self.interpolation = interpolation
        self.antialias = antialias

    def __call__(self, img: Any) -> Tensor:
        """The image as the network wants it."""
        height, width = img.shape[-2:] if isinstance(img, Tensor) else (img.size[1], img.size[0])
        short = min(height, width)
        size = self.resize_size[0]
        height, width = size * height // short, size * width // short
        image = self._resized(img, height, width)
        image = self._cropped(image)
        if not image.is_floating_point():
            image = image.to(float32) / 255
        shape = (len(self.mean), 1, 1)
        mean, std = (tensor(v, device=image.device, dtype=image.dtype).reshape(shape) for v in (self.mean, self.std))
        return (image - mean) / std

    def _resized(self, img: Any, height: int, width: int) -> Tensor:
        if not isinstance(img, Tensor):
            small = img.resize((width, height), _PIL_FILTERS[self.interpolation])
            pixels = np.asarray(small)
            pixels = pixels[..., None] if pixels.ndim == 2 else pixels
            return from_array(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
        if tuple(img.shape[-2:]) == (height, width):
            return img
        batch = img.reshape(-1, *img.shape[-3:]).to(float32)
        smooth = self.interpolation != "nearest"
        options: dict[str, Any] = {"align_corners": False, "antialias": bool(self.antialias)} if smooth else {}
        out = F.interpolate(batch, size=(height, width), mode=self.interpolation, **options)
        if not img.is_floating_point():
            out = out.round().clamp(0, 255).to(img.dtype)
        return out.reshape(*img.shape[:-2], height, width)

    def _cropped(self, image: Tensor) -> Tensor:
        """The centre; black is added where the image is smaller."""
        side = self.crop_size[0]
        height, width = image.shape[-2:]
        if height < side or width < side:
            left, top = max(side - width, 0) // 2, max(side - height, 0) // 2
            right, bottom = max(side - width + 1, 0) // 2, max(side - height + 1, 0) // 2
            image = F.pad(image, (left, right, top, bottom))
            height, width = image.shape[-2:]
        top, left = round((height - side) / 2), round((width - side) / 2)
        return image[..., top : top + side, left : left + side]

    def __repr__(self) -> str:
        return (
            f"{self.__class__.__name__}(\n    crop_size={self.crop_size}\n    resize_size={self.resize_size}\n"
            f"    mean={self.mean}\n    std={self.std}\n    interpolation={self.interpolation}\n)"
        )
