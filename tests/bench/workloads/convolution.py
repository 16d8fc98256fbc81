"""Convolutions in all three directions, over ResNet-18's layers and the other kinds, and pooling."""

from __future__ import annotations

from tests.bench.workload import workload

GROUP = "convolution"
FLOORS = {"forward": 1.0, "grad-input": 0.9, "grad-weight": 1.1}


def directions(name: str, function: str, input_shape: tuple, weight_shape: tuple, skip: tuple = (), **options) -> None:
    """Register forward, gradient of the input and gradient of the weight of one convolution.

    The gradients are taken again and again from one forward pass, so that only the backward kernels are timed.
    """

    def operands(torch, bench, input_grad: bool, weight_grad: bool):
        fan_in = 1
        for size in weight_shape[1:]:
            fan_in *= size
        x = bench.randn(*input_shape, grad=input_grad)
        w = bench.randn(*weight_shape, scale=fan_in**-0.5, grad=weight_grad)
        return x, w, getattr(torch.nn.functional, function)

    @workload(GROUP, f"{name} forward", floor=FLOORS["forward"])
    def forward(torch, bench):
        x, w, convolve = operands(torch, bench, False, False)
        return lambda: convolve(x, w, **options)

    def gradient(direction: str) -> None:
        @workload(GROUP, f"{name} {direction}", floor=FLOORS[direction])
        def build(torch, bench):
            of_input = direction == "grad-input"
            x, w, convolve = operands(torch, bench, of_input, not of_input)
            y = convolve(x, w, **options)
            g = bench.randn(*y.shape)
            wanted = x if of_input else w
            return lambda: torch.autograd.grad(y, wanted, g, retain_graph=True)

    for direction in ("grad-input", "grad-weight"):
        if direction not in skip:
            gradient(direction)


def conv2d(name: str, channels: tuple[int, int], size: int, kernel: int, batch: int = 8, **options) -> None:
    inputs, outputs = channels
    skip = options.pop("skip", ())
    weight = (outputs, inputs // options.get("groups", 1), kernel, kernel)
    directions(name, "conv2d", (batch, inputs, size, size), weight, skip, **options)


# ResNet-18 at 224x224, batch 8; its first layer needs no gradient of its input.
conv2d("resnet 3->64 224 7x7 /2", (3, 64), 224, 7, stride=2, padding=3, skip=("grad-input",))
conv2d("resnet 64->64 56 3x3", (64, 64), 56, 3, padding=1)
conv2d("resnet 64->128 56 3x3 /2", (64, 128), 56, 3, stride=2, padding=1)
conv2d("resnet 64->128 56 1x1 /2", (64, 128), 56, 1, stride=2)
conv2d("resnet 128->128 28 3x3", (128, 128), 28, 3, padding=1)
conv2d("resnet 128->256 28 3x3 /2", (128, 256), 28, 3, stride=2, padding=1)
conv2d("resnet 128->256 28 1x1 /2", (128, 256), 28, 1, stride=2)
conv2d("resnet 256->256 14 3x3", (256, 256), 14, 3, padding=1)
conv2d("resnet 256->512 14 3x3 /2", (256, 512), 14, 3, stride=2, padding=1)
conv2d("resnet 256->512 14 1x1 /2", (256, 512), 14, 1, stride=2)
conv2d("resnet 512->512 7 3x3", (512, 512), 7, 3, padding=1)
conv2d("pointwise 256->1024 14 1x1", (256, 1024), 14, 1)
conv2d("pointwise 1024->256 14 1x1", (1024, 256), 14, 1)
conv2d("lenet 1->6 28 5x5, batch 64", (1, 6), 28, 5, batch=64, padding=2)
conv2d("dilated 64->64 28 3x3", (64, 64), 28, 3, padding=2, dilation=2)
conv2d("depthwise 128 56 3x3", (128, 128), 56, 3, padding=1, groups=128)
conv2d("depthwise 128 56 3x3 /2", (128, 128), 56, 3, stride=2, padding=1, groups=128)
conv2d("depthwise 384 14 7x7", (384, 384), 14, 7, padding=3, groups=384)
conv2d("grouped 128->128 28 3x3, 32 groups", (128, 128), 28, 3, padding=1, groups=32)
directions("transposed 128->64 16 4x4 /2", "conv_transpose2d", (8, 128, 16, 16), (128, 64, 4, 4), stride=2, padding=1)
directions("1-d 64->128 1024 k5", "conv1d", (16, 64, 1024), (128, 64, 5), padding=2)
directions("3-d 16->32 16 3x3x3", "conv3d", (4, 16, 16, 16, 16), (32, 16, 3, 3, 3), padding=1)


@workload(GROUP, "conv + bias + relu 64->64 56 3x3 forward")
def conv_relu(torch, bench):
    x, w, b = bench.randn(8, 64, 56, 56), bench.randn(64, 64, 3, 3, scale=0.04), bench.randn(64)
    return lambda: torch.nn.functional.conv2d(x, w, b, padding=1).relu()


def pooling(name: str, size: int, apply) -> None:
    @workload(GROUP, f"{name} 8x64x{size}x{size} forward")
    def forward(torch, bench):
        x = bench.randn(8, 64, size, size)
        return lambda: apply(torch.nn.functional, x)

    @workload(GROUP, f"{name} 8x64x{size}x{size} forward and backward")
    def backward(torch, bench):
        x = bench.randn(8, 64, size, size, grad=True)
        g = bench.randn(*apply(torch.nn.functional, x).shape)
        return lambda: torch.autograd.grad(apply(torch.nn.functional, x), x, g)


pooling("max_pool 3x3 /2", 112, lambda F, x: F.max_pool2d(x, 3, 2, 1))
pooling("max_pool 2x2", 56, lambda F, x: F.max_pool2d(x, 2))
pooling("avg_pool 2x2", 56, lambda F, x: F.avg_pool2d(x, 2))
pooling("adaptive_avg_pool to 1", 56, lambda F, x: F.adaptive_avg_pool2d(x, 1))
pooling("interpolate bilinear x2", 28, lambda F, x: F.interpolate(x, scale_factor=2.0, mode="bilinear"))
