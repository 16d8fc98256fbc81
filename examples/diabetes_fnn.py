"""A feed-forward network learns how diabetes progresses: the network of the PyTorch tutorial, on its real data.

442 patients, ten measurements each, scaled to [0, 1]; four linear layers (10-6-4-2-1) with sigmoids, binary
cross-entropy, SGD. Prints the loss of each epoch and draws the curve:

    python examples/diabetes_fnn.py --epochs 300 --out loss.png

Replace the import below by `import torch` and the same program runs on PyTorch.
"""

import argparse

import numpy as np
from support import DATA, Progress, save_curves

import engine as torch


class DiabetesDataset(torch.utils.data.Dataset):
    """Tab-separated numbers, the target in the last column; every column is scaled to [0, 1]."""

    def __init__(self, filepath):
        xy = np.loadtxt(filepath, delimiter="\t", dtype=np.float32, encoding="utf-8")
        self.len = xy.shape[0]
        for i in range(xy.shape[1]):
            xy_max = np.max(xy[:, i])
            xy_min = np.min(xy[:, i])
            xy[:, i] = (xy[:, i] - xy_min) / (xy_max - xy_min)
        self.x_data = torch.from_numpy(xy[:, :-1])
        self.y_data = torch.from_numpy(xy[:, -1])

    def __getitem__(self, index):
        return self.x_data[index], self.y_data[index]

    def __len__(self):
        return self.len


class FNNModel(torch.nn.Module):
    """10 -> 6 -> 4 -> 2 -> 1 with a sigmoid after each layer."""

    def __init__(self):
        super().__init__()
        self.linear1 = torch.nn.Linear(10, 6)
        self.linear2 = torch.nn.Linear(6, 4)
        self.linear3 = torch.nn.Linear(4, 2)
        self.linear4 = torch.nn.Linear(2, 1)
        self.sigmoid = torch.nn.Sigmoid()

    def forward(self, x):
        x = self.sigmoid(self.linear1(x))
        x = self.sigmoid(self.linear2(x))
        x = self.sigmoid(self.linear3(x))
        return self.sigmoid(self.linear4(x))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=0.01, help="learning rate of SGD (default 0.01)")
    parser.add_argument("--seed", type=int, help="seed of the initial weights and of the order")
    parser.add_argument("--data", default=DATA / "diabetes.txt", help="tab-separated file, target last")
    parser.add_argument("--out", default="diabetes_loss.png", help="picture of the loss curve")
    parser.add_argument("--load-state", metavar="FILE", help="start from this state_dict")
    parser.add_argument("--save-state", metavar="FILE", help="write the state_dict at the end")
    parser.add_argument("--no-shuffle", action="store_true", help="keep the order of the file")
    parser.add_argument("--compile", action="store_true", help="record the training step once and replay it")
    parser.add_argument("--short", action="store_true", help="three epochs only")
    return parser.parse_args()


def main():
    args = arguments()
    epochs = min(args.epochs, 3) if args.short else args.epochs
    if args.seed is not None:
        torch.manual_seed(args.seed)
    dataset = DiabetesDataset(args.data)
    train_loader = torch.utils.data.DataLoader(
        dataset=dataset, batch_size=args.batch_size, shuffle=not args.no_shuffle, drop_last=True, num_workers=0
    )
    iters = dataset.len / args.batch_size

    model = FNNModel()
    if args.load_state:
        model.load_state_dict(torch.load(args.load_state))
    criterion = torch.nn.BCELoss(reduction="mean")
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr)

    def train_step(inputs, labels):
        y_pred = model(inputs)
        loss = criterion(y_pred, labels.unsqueeze(dim=1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    if args.compile:
        train_step = torch.compile(train_step)

    loss_list = []
    with Progress(epochs * len(train_loader)) as bar:
        for epoch in range(epochs):
            loss_one_epoch = 0
            for inputs, labels in train_loader:
                loss = train_step(inputs, labels).item()
                loss_one_epoch += loss
                bar.advance(f"loss {loss:.4f}")
            loss_list.append(loss_one_epoch / iters)
            bar.print(f"Epoch[{epoch + 1}/{epochs}], loss:{loss_one_epoch / iters:.6f}")

    if args.save_state:
        torch.save(model.state_dict(), args.save_state)
    save_curves(args.out, {"loss": loss_list}, "epoch", "loss")
    print(f"loss curve: {args.out}")


if __name__ == "__main__":
    main()
