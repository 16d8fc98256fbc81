"""An LSTM forecasts a chaotic series: the Mackey-Glass equation, a standard test of forecasting.

dx/dt = 0.2 x(t - 17) / (1 + x(t - 17)^10) - 0.1 x(t)  (Mackey and Glass 1977, Science 197, 287-289)

Trains to predict the next value, then continues the series by itself, feeding each prediction back, and saves the
forecast beside the true continuation.

    python examples/lstm_forecast.py --epochs 30
"""

import argparse

import numpy as np
from support import Progress, save_curves

import engine as torch
from engine import nn

HISTORY, HORIZON = 100, 200


def mackey_glass(count, delay=17, substeps=10, warmup=500):
    """`count` values a time unit apart, by Euler steps of 1 / substeps after `warmup` time units."""
    lag = delay * substeps
    x = np.full(lag + (warmup + count) * substeps, 1.2)
    for i in range(lag, len(x)):
        past = x[i - lag]
        x[i] = x[i - 1] + (0.2 * past / (1 + past**10) - 0.1 * x[i - 1]) / substeps
    return x[lag + warmup * substeps :: substeps].astype(np.float32)


class Forecaster(nn.Module):
    """Series (batch, time, 1) -> the value that follows each of its values, same shape, and the LSTM's state."""

    def __init__(self, hidden=64):
        super().__init__()
        self.lstm = nn.LSTM(1, hidden, num_layers=2, batch_first=True)
        self.head = nn.Linear(hidden, 1)

    def forward(self, x, state=None):
        y, state = self.lstm(x, state)
        return x + self.head(y), state

    @torch.no_grad()
    def forecast(self, history, count):
        """Continue a series (time,) by count values, feeding each prediction back."""
        predicted, state = self(history.view(1, -1, 1))
        values = [predicted[:, -1:]]
        for _ in range(count - 1):
            value, state = self(values[-1], state)
            values.append(value)
        return torch.cat(values, dim=1).flatten()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="lstm_forecast.png", help="picture of the forecast")
    parser.add_argument("--compile", action="store_true", help="record the training step once and replay it")
    parser.add_argument("--short", action="store_true", help="one epoch only")
    return parser.parse_args()


def main():
    args = arguments()
    epochs = 1 if args.short else args.epochs
    torch.manual_seed(args.seed)
    series = mackey_glass(3000 + HORIZON)
    series = (series - series.mean()) / series.std()
    windows = np.lib.stride_tricks.sliding_window_view(series[:3000], HISTORY + 1)[::3].copy()
    dataset = torch.utils.data.TensorDataset(torch.from_numpy(windows).unsqueeze(-1))
    loader = torch.utils.data.DataLoader(dataset, batch_size=args.batch_size, shuffle=True, drop_last=True)

    model = Forecaster()
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)

    def train_step(window):
        optimizer.zero_grad()
        loss = criterion(model(window[:, :-1])[0], window[:, 1:])
        loss.backward()
        optimizer.step()
        return loss

    if args.compile:
        train_step = torch.compile(train_step)

    with Progress(epochs * len(loader)) as bar:
        for epoch in range(epochs):
            total = 0.0
            for (window,) in loader:
                loss = train_step(window).item()
                total += loss
                bar.advance(f"loss {loss:.2e}")
            schedule.step()
            bar.print(f"epoch {epoch + 1:2d}: mean squared error of the next value {total / len(loader):.3e}")

    model.eval()
    truth = series[3000:]
    forecast = model.forecast(torch.from_numpy(series[3000 - 500 : 3000].copy()), HORIZON).numpy()
    for part in (20, 50, 100, HORIZON):
        error = np.sqrt(np.mean((forecast[:part] - truth[:part]) ** 2))
        print(f"error over the next {part:3d} values: {error:.4f} (standard deviation of the series: 1)")
    save_curves(args.out, {"true": truth, "forecast": forecast}, "time", "x")
    print(f"forecast: {args.out}")


if __name__ == "__main__":
    main()
