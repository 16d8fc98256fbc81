"""ResNet-18 looks at a picture (He et al. 2015, "Deep Residual Learning for Image Recognition").

The network has torchvision's parameter names, so its published weights load as they are:

    python examples/resnet_picture.py --weights resnet18-f37072fd.pth --image photo.jpg --labels imagenet_classes.txt

Without --weights the network is untrained and its classes mean nothing; the run then only shows speed and pictures.
Saves the picture as the network sees it with the 15 strongest channels of its first layer. Reading a picture needs
Pillow (it comes with matplotlib).
"""

import argparse
import time
from pathlib import Path

import numpy as np
from PIL import Image
from support import DATA, Progress, save_images

import engine as torch
from engine import nn
from engine.nn import functional as F

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's colours


class Block(nn.Module):
    """Two 3 x 3 convolutions around a shortcut."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + shortcut)


class ResNet18(nn.Module):
    """Pictures (n, 3, height, width) -> logits (n, classes)."""

    def __init__(self, classes=1000):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(Block(64, 64, 1), Block(64, 64, 1))
        self.layer2 = nn.Sequential(Block(64, 128, 2), Block(128, 128, 1))
        self.layer3 = nn.Sequential(Block(128, 256, 2), Block(256, 256, 1))
        self.layer4 = nn.Sequential(Block(256, 512, 2), Block(512, 512, 1))
        self.fc = nn.Linear(512, classes)

    def stem(self, x):
        return F.relu(self.bn1(self.conv1(x)))

    def forward(self, x):
        x = F.max_pool2d(self.stem(x), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


def read_picture(path, size=224):
    """A picture's middle as (size, size, 3) float32 in [0, 1]; the shorter side is first scaled to 256."""
    with Image.open(path) as picture:
        picture = picture.convert("RGB")
        scale = 256 / min(picture.size)
        picture = picture.resize([round(side * scale) for side in picture.size], Image.Resampling.BILINEAR)
        left, top = ((side - size) // 2 for side in picture.size)
        return np.asarray(picture.crop((left, top, left + size, top + size)), dtype=np.float32) / 255


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", default=DATA / "flower.jpg", help="the picture (default: a flower)")
    parser.add_argument("--weights", help="a state_dict with torchvision's names")
    parser.add_argument("--labels", help="text file with the name of a class a line")
    parser.add_argument("--repeat", type=int, default=20, help="timed runs (default 20)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="resnet_picture.png", help="picture of the first layer's channels")
    parser.add_argument("--compile", action="store_true", help="record the forward pass once and replay it")
    parser.add_argument("--short", action="store_true", help="one timed run only")
    return parser.parse_args()


def main():
    args = arguments()
    torch.manual_seed(args.seed)
    pixels = read_picture(args.image)
    x = torch.from_numpy(((pixels - MEAN) / STD).astype(np.float32)).permute(2, 0, 1).unsqueeze(0)
    model = ResNet18().eval()
    if args.weights:
        model.load_state_dict(torch.load(args.weights))
    else:
        print("no --weights: the network is untrained, its classes mean nothing")
    labels = Path(args.labels).read_text(encoding="utf-8").splitlines() if args.labels else None
    run = torch.compile(model) if args.compile else model

    seconds = []
    repeat = 1 if args.short else args.repeat
    with torch.no_grad(), Progress(repeat + 1) as bar:
        for _ in range(repeat + 1):
            start = time.perf_counter()
            shares = torch.softmax(run(x), dim=1)[0]
            best = shares.topk(5)
            classes = list(zip(best.indices.tolist(), best.values.tolist(), strict=True))
            seconds.append(time.perf_counter() - start)
            bar.advance(f"{1000 * seconds[-1]:.1f} ms")
        channels = model.stem(x)[0].numpy()
    for index, share in classes:
        print(f"{100 * share:6.2f} %  {labels[index] if labels else f'class {index}'}")
    print(f"first run {1000 * seconds[0]:.1f} ms, then {1000 * min(seconds[1:]):.1f} ms a picture")

    strongest = channels[np.argsort(-channels.var(axis=(1, 2)))[:15]]
    strongest = strongest / np.maximum(strongest.max(axis=(1, 2), keepdims=True), 1e-9)
    seen = pixels[::2, ::2]
    save_images(args.out, np.concatenate((seen[None], strongest[..., None].repeat(3, axis=-1))), columns=4)
    print(f"the picture and the first layer's channels: {args.out}")


if __name__ == "__main__":
    main()
