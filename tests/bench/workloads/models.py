"""The networks of the whole-step workloads, written with torch.nn only; each function takes the torch module."""

from __future__ import annotations


def tutorial(torch):
    """The tutorial's network: 10-6-4-2-1, a sigmoid after every layer."""
    nn = torch.nn
    layers = []
    for inputs, outputs in ((10, 6), (6, 4), (4, 2), (2, 1)):
        layers += [nn.Linear(inputs, outputs), nn.Sigmoid()]
    return nn.Sequential(*layers)


def mlp(torch):
    """784-512-512-10 with ReLU."""
    nn = torch.nn
    return nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )  # fmt: skip


def lenet(torch):
    """LeNet-5 for 1x28x28 images, with ReLU and max pooling."""
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def resnet18(torch):
    """ResNet-18 with 1000 classes (He et al. 2015, Deep Residual Learning for Image Recognition, table 1)."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, inputs: int, outputs: int, stride: int):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.relu = nn.ReLU(inplace=True)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.downsample = None
            if stride != 1 or inputs != outputs:
                self.downsample = nn.Sequential(
                    nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
                )

        def forward(self, x):
            shortcut = x if self.downsample is None else self.downsample(x)
            y = self.relu(self.bn1(self.conv1(x)))
            y = self.bn2(self.conv2(y))
            y += shortcut
            return self.relu(y)

    stages = [
        nn.Sequential(Block(inputs, outputs, stride), Block(outputs, outputs, 1))
        for inputs, outputs, stride in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2))
    ]
    stem = (nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1))
    return nn.Sequential(*stem, *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))


def gpt(torch, vocabulary: int = 512, layers: int = 4, width: int = 256, heads: int = 8, context: int = 128):
    """A decoder-only transformer with pre-norm blocks; `forward(tokens, caches=None)`.

    With caches, a list of one (keys, values) pair a layer, each (batch, heads, past, width / heads), the tokens
    follow the past ones and the logits of the last token are returned; without, the logits of all tokens.
    """
    nn = torch.nn
    attend = torch.nn.functional.scaled_dot_product_attention

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

        def forward(self, x, cache):
            batch, length, _ = x.shape
            parts = self.qkv(self.norm1(x)).split(width, dim=2)
            q, k, v = (part.view(batch, length, heads, width // heads).transpose(1, 2) for part in parts)
            if cache is not None:
                k, v = torch.cat((cache[0], k), 2), torch.cat((cache[1], v), 2)
            y = attend(q, k, v, is_causal=cache is None)
            x = x + self.out(y.transpose(1, 2).reshape(batch, length, width))
            return x + self.mlp(self.norm2(x))

    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.token, self.position = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
            self.blocks = nn.ModuleList(Block() for _ in range(layers))
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)

        def forward(self, tokens, caches=None):
            past = 0 if caches is None else caches[0][0].shape[2]
            positions = torch.arange(past, past + tokens.shape[1])
            x = self.token(tokens) + self.position(positions)
            for index, block in enumerate(self.blocks):
                x = block(x, None if caches is None else caches[index])
            return self.head(self.norm(x if caches is None else x[:, -1]))

    return GPT()


def lstm(torch, inputs: int = 64, hidden: int = 128, outputs: int = 10):
    """Two LSTM layers of 128 and a linear layer on the last step's output; input (batch, time, 64)."""
    nn = torch.nn

    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(inputs, hidden, num_layers=2, batch_first=True)
            self.head = nn.Linear(hidden, outputs)

        def forward(self, x):
            return self.head(self.lstm(x)[0][:, -1])

    return Tagger()
