"""A small GPT learns to write, letter by letter, like Python's own documentation.

The text is pydoc_data.topics, which ships with Python.

Prints the losses on training and held-out text as it goes, a sample at the end, and saves the loss curves.

    python examples/char_gpt.py --steps 2000
    python examples/char_gpt.py --steps 2000 --text my_book.txt
"""

import argparse
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
from support import Progress, save_curves

import engine as torch
from engine import nn
from engine.nn import functional as F


class Block(nn.Module):
    """Causal self-attention and an MLP, each behind a layer norm and around a shortcut."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        batch, length, width = x.shape
        parts = self.qkv(self.norm1(x)).chunk(3, dim=-1)
        q, k, v = (part.view(batch, length, self.heads, -1).transpose(1, 2) for part in parts)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(batch, length, width))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    """Decoder-only transformer over characters: tokens (batch, length) -> logits (batch, length, vocabulary)."""

    def __init__(self, vocabulary, context, layers=4, width=128, heads=4):
        super().__init__()
        self.context = context
        self.token, self.position = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)

    def forward(self, tokens):
        x = self.token(tokens) + self.position(torch.arange(tokens.shape[1]))
        return self.head(self.norm(self.blocks(x)))

    @torch.no_grad()
    def generate(self, tokens, count, temperature=0.8):
        """The tokens and `count` more, each drawn from the model's distribution."""
        for _ in range(count):
            logits = self(tokens[:, -self.context :])[:, -1] / temperature
            tokens = torch.cat((tokens, torch.multinomial(torch.softmax(logits, -1), 1)), dim=1)
        return tokens


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--context", type=int, default=128, help="characters that the model sees")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--text", help="a text file to learn from instead")
    parser.add_argument("--prompt", default="The ", help="beginning of the sample")
    parser.add_argument("--out", default="char_gpt_loss.png", help="picture of the loss curves")
    parser.add_argument("--compile", action="store_true", help="record the training step once and replay it")
    parser.add_argument("--short", action="store_true", help="twenty steps and a short sample only")
    return parser.parse_args()


def main():
    args = arguments()
    steps, length = (20, 40) if args.short else (args.steps, 400)
    torch.manual_seed(args.seed)
    text = (
        Path(args.text).read_text(encoding="utf-8") if args.text else "\n".join(topics[key] for key in sorted(topics))
    )
    letters = sorted(set(text) | set(args.prompt))
    number = {letter: index for index, letter in enumerate(letters)}
    data = np.array([number[letter] for letter in text])
    split = len(data) * 9 // 10
    rng = np.random.default_rng(args.seed)
    print(f"{len(data)} characters, {len(letters)} different ones")

    model = GPT(len(letters), args.context)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, betas=(0.9, 0.95), weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=args.lr, total_steps=steps, pct_start=0.1)

    def batch(part):
        """Random windows (batch, context) and the same moved on by one character."""
        starts = rng.integers(0, len(part) - args.context - 1, args.batch_size)
        windows = torch.tensor(np.stack([part[start : start + args.context + 1] for start in starts]))
        return windows[:, :-1], windows[:, 1:]

    def loss_of(x, y):
        return F.cross_entropy(model(x).flatten(0, 1), y.flatten())

    def train_step(x, y):
        optimizer.zero_grad()
        loss = loss_of(x, y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss

    if args.compile:
        train_step = torch.compile(train_step)

    curves = {"training": [], "held out": []}
    every = max(steps // 20, 1)
    with Progress(steps) as bar:
        for step in range(1, steps + 1):
            loss = train_step(*batch(data[:split])).item()
            schedule.step()
            bar.advance(f"loss {loss:.3f}")
            if step % every == 0:
                with torch.no_grad():
                    held_out = loss_of(*batch(data[split:])).item()
                curves["training"].append(loss)
                curves["held out"].append(held_out)
                bar.print(f"step {step:5d}: training loss {loss:.3f}, held out {held_out:.3f}")

    save_curves(args.out, curves, f"{every} steps", "cross-entropy a character")
    prompt = torch.tensor([[number[letter] for letter in args.prompt]])
    print("".join(letters[index] for index in model.generate(prompt, length)[0].tolist()))
    print(f"loss curves: {args.out}")


if __name__ == "__main__":
    main()
