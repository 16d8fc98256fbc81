"""A variational autoencoder of handwritten digits (Kingma and Welling 2013, "Auto-Encoding Variational Bayes").

Learns a code of a few numbers for pictures of 8 x 8, and saves three pictures: digits beside what remains of them
after coding, new digits decoded from random codes, and the walk from one digit to another.

    python examples/vae.py --epochs 60
"""

import argparse

import numpy as np
from support import DATA, Progress, save_images

import engine as torch
from engine import nn
from engine.nn import functional as F


class VAE(nn.Module):
    """64 pixels -> mean and log-variance of a code -> 64 pixels."""

    def __init__(self, code, hidden=256):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 2 * code))
        self.decoder = nn.Sequential(nn.Linear(code, hidden), nn.ReLU(), nn.Linear(hidden, 64))

    def encode(self, x):
        return self.encoder(x).chunk(2, dim=-1)

    def decode(self, z):
        return torch.sigmoid(self.decoder(z))

    def loss(self, x):
        """Negative evidence lower bound a picture: reconstruction and divergence from the normal distribution."""
        mean, log_variance = self.encode(x)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        reconstruction = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        divergence = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
        return (reconstruction + divergence) / len(x)


def save_pictures(model, x, code, prefix):
    """Reconstructions, samples and a walk between two digits, as three PNG files."""
    with torch.no_grad():
        means = model.encode(x)[0]
        pairs = torch.stack((x[:20], model.decode(means[:20])), dim=1).reshape(-1, 8, 8)
        samples = model.decode(torch.randn(60, code)).reshape(-1, 8, 8)
        share = torch.linspace(0, 1, 12).unsqueeze(1)
        walks = [model.decode((1 - share) * means[i] + share * means[i + 1]) for i in range(0, 10, 2)]
        walk = torch.cat(walks).reshape(-1, 8, 8)
    for name, pictures, columns in (("reconstruction", pairs, 10), ("samples", samples, 10), ("walk", walk, 12)):
        save_images(f"{prefix}_{name}.png", pictures.numpy(), columns, scale=6)
        print(f"{name}: {prefix}_{name}.png")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--code", type=int, default=8, help="numbers in the code of a picture")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="vae", help="prefix of the pictures (default vae)")
    parser.add_argument("--compile", action="store_true", help="record the training step once and replay it")
    parser.add_argument("--short", action="store_true", help="one epoch only")
    return parser.parse_args()


def main():
    args = arguments()
    epochs = 1 if args.short else args.epochs
    torch.manual_seed(args.seed)
    table = np.loadtxt(DATA / "digits.csv.gz", delimiter=",", dtype=np.float32)
    x = torch.from_numpy(table[:, :64] / 16)
    dataset = torch.utils.data.TensorDataset(x)
    loader = torch.utils.data.DataLoader(dataset, batch_size=args.batch_size, shuffle=True, drop_last=True)
    model = VAE(args.code)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)

    def train_step(pictures):
        optimizer.zero_grad()
        loss = model.loss(pictures)
        loss.backward()
        optimizer.step()
        return loss

    if args.compile:
        train_step = torch.compile(train_step)

    with Progress(epochs * len(loader)) as bar:
        for epoch in range(epochs):
            total = 0.0
            for (pictures,) in loader:
                loss = train_step(pictures).item()
                total += loss
                bar.advance(f"loss {loss:.2f}")
            bar.print(f"epoch {epoch + 1:3d}: negative evidence bound {total / len(loader):.3f} nats a picture")
    save_pictures(model, x, args.code, args.out)


if __name__ == "__main__":
    main()
