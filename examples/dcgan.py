"""A deep convolutional GAN draws handwritten digits (Radford, Metz and Chintala 2015), at 8 x 8.

A generator of transposed convolutions and a discriminator of strided convolutions train against each other.
Saves a sheet of drawn digits, the same codes every time, at the end of the run, and the curves of both losses.

    python examples/dcgan.py --epochs 60
"""

import argparse

import numpy as np
from support import DATA, Progress, save_curves, save_images

import engine as torch
from engine import nn


def generator(code, width=64):
    """Code (n, code, 1, 1) -> pictures (n, 1, 8, 8) in [-1, 1]."""
    return nn.Sequential(
        nn.ConvTranspose2d(code, 2 * width, 2, bias=False), nn.BatchNorm2d(2 * width), nn.ReLU(),
        nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        nn.ConvTranspose2d(width, 1, 4, stride=2, padding=1), nn.Tanh(),
    )  # fmt: skip


def discriminator(width=64):
    """Pictures (n, 1, 8, 8) -> logit that they are real (n,)."""
    return nn.Sequential(
        nn.Conv2d(1, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(2 * width), nn.LeakyReLU(0.2),
        nn.Conv2d(2 * width, 1, 2), nn.Flatten(0),
    )  # fmt: skip


def initialise(module):
    """The paper's normal initialisation."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--code", type=int, default=32, help="numbers in the code of a picture")
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="dcgan", help="prefix of the pictures (default dcgan)")
    parser.add_argument("--compile", action="store_true", help="record the training step once and replay it")
    parser.add_argument("--short", action="store_true", help="one epoch only")
    return parser.parse_args()


def main():
    args = arguments()
    epochs = 1 if args.short else args.epochs
    torch.manual_seed(args.seed)
    table = np.loadtxt(DATA / "digits.csv.gz", delimiter=",", dtype=np.float32)
    dataset = torch.utils.data.TensorDataset(torch.from_numpy(table[:, :64].reshape(-1, 1, 8, 8) / 8 - 1))
    loader = torch.utils.data.DataLoader(dataset, batch_size=args.batch_size, shuffle=True, drop_last=True)

    draw, judge = generator(args.code).apply(initialise), discriminator().apply(initialise)
    draw_optimizer = torch.optim.Adam(draw.parameters(), lr=args.lr, betas=(0.5, 0.999))
    judge_optimizer = torch.optim.Adam(judge.parameters(), lr=args.lr, betas=(0.5, 0.999))
    criterion = nn.BCEWithLogitsLoss()
    real, fake = torch.full((args.batch_size,), 0.9), torch.zeros(args.batch_size)  # one-sided label smoothing
    fooled = torch.ones(args.batch_size)

    def train_step(pictures):
        drawn = draw(torch.randn(args.batch_size, args.code, 1, 1))
        judge_optimizer.zero_grad()
        judge_loss = criterion(judge(pictures), real) + criterion(judge(drawn.detach()), fake)
        judge_loss.backward()
        judge_optimizer.step()
        draw_optimizer.zero_grad()
        draw_loss = criterion(judge(drawn), fooled)
        draw_loss.backward()
        draw_optimizer.step()
        return judge_loss, draw_loss

    if args.compile:
        train_step = torch.compile(train_step)

    fixed = torch.randn(60, args.code, 1, 1)
    curves = {"discriminator": [], "generator": []}
    with Progress(epochs * len(loader)) as bar:
        for epoch in range(epochs):
            for (pictures,) in loader:
                losses = [loss.item() for loss in train_step(pictures)]
                for curve, loss in zip(curves.values(), losses, strict=True):
                    curve.append(loss)
                bar.advance("discriminator {:.3f}, generator {:.3f}".format(*losses))
            means = [np.mean(curve[-len(loader) :]) for curve in curves.values()]
            bar.print("epoch {:3d}: discriminator {:.3f}, generator {:.3f}".format(epoch + 1, *means))

    draw.eval()
    with torch.no_grad():
        save_images(f"{args.out}_samples.png", (draw(fixed)[:, 0].numpy() + 1) / 2, columns=10, scale=6)
    save_curves(f"{args.out}_loss.png", curves, "step", "loss")
    print(f"digits drawn: {args.out}_samples.png; losses: {args.out}_loss.png")


if __name__ == "__main__":
    main()
