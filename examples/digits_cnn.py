"""A small convolutional network reads handwritten digits (1797 pictures of 8 x 8, examples/data/digits.csv.gz).

Trains on the first 1500, tests on the rest, prints both accuracies of each epoch and saves two pictures: the
accuracy by epoch, and the test digits it got wrong.

    python examples/digits_cnn.py --epochs 15
"""

import argparse

import numpy as np
from support import DATA, Progress, save_curves, save_images

import engine as torch
from engine import nn

TRAIN = 1500


class DigitsNet(nn.Module):
    """Two convolutions with batch norm, pooling, dropout and a linear classifier."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
            nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(),
            nn.MaxPool2d(2),
        )  # fmt: skip
        self.classifier = nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(64 * 4 * 4, 10))

    def forward(self, x):
        return self.classifier(self.features(x))


def load_digits():
    """Pictures (1797, 1, 8, 8) in [0, 1] and labels (1797,)."""
    table = np.loadtxt(DATA / "digits.csv.gz", delimiter=",", dtype=np.float32)
    return torch.from_numpy(table[:, :64].reshape(-1, 1, 8, 8) / 16), torch.from_numpy(table[:, 64].astype(np.int64))


def predict(model, images):
    """The most likely digit of each picture."""
    model.eval()
    with torch.no_grad():
        return model(images).argmax(dim=1)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="digits", help="prefix of the pictures (default digits)")
    parser.add_argument("--compile", action="store_true", help="record the training step once and replay it")
    parser.add_argument("--short", action="store_true", help="one epoch only")
    return parser.parse_args()


def main():
    args = arguments()
    epochs = 1 if args.short else args.epochs
    torch.manual_seed(args.seed)
    images, labels = load_digits()
    train = torch.utils.data.TensorDataset(images[:TRAIN], labels[:TRAIN])
    loader = torch.utils.data.DataLoader(train, batch_size=args.batch_size, shuffle=True, drop_last=True)

    model = DigitsNet()
    criterion = nn.CrossEntropyLoss(label_smoothing=0.05)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)

    def train_step(x, y):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    if args.compile:
        train_step = torch.compile(train_step)

    curves = {"training": [], "test": []}
    with Progress(epochs * len(loader)) as bar:
        for epoch in range(epochs):
            model.train()
            for x, y in loader:
                bar.advance(f"loss {train_step(x, y).item():.4f}")
            schedule.step()
            right = (predict(model, images) == labels).float()
            curves["training"].append(right[:TRAIN].mean().item())
            curves["test"].append(right[TRAIN:].mean().item())
            bar.print(f"epoch {epoch + 1:2d}: training {curves['training'][-1]:.4f}, test {curves['test'][-1]:.4f}")

    save_curves(f"{args.out}_accuracy.png", curves, "epoch", "accuracy")
    print(f"accuracy curve: {args.out}_accuracy.png")
    wrong = images[TRAIN:][predict(model, images[TRAIN:]) != labels[TRAIN:]]
    if len(wrong):
        save_images(f"{args.out}_wrong.png", wrong[:40, 0].numpy(), columns=10, scale=8)
        print(f"{len(wrong)} of {len(labels) - TRAIN} test digits read wrongly: {args.out}_wrong.png")


if __name__ == "__main__":
    main()
