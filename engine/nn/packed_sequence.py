"""Sequences of different lengths: padded, packed, and back."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from typing import Any

from engine import dtypes, ops
from engine.tensor import Tensor

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]

PackedSequence_ = namedtuple("PackedSequence_", ["data", "batch_sizes", "sorted_indices", "unsorted_indices"])


class PackedSequence(PackedSequence_):
    """Sequences packed time step by time step, the longest first.

    data (sum of lengths, *) holds step 0 of all sequences, then step 1 of those long enough, and so on;
    batch_sizes (longest length,), int64 on the CPU, counts them. sorted_indices gives the order in which the
    sequences were packed, unsorted_indices undoes it; both are None when they were sorted already.
    """

    # Where pickles of torch have it.
    __module__ = f"{__package__}.utils.rnn"

    def __new__(
        cls,
        data: Tensor,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes is not None:
            if batch_sizes.device.type != "cpu":
                raise ValueError(
                    "batch_sizes should always be on CPU. Instances of PackedSequence should never be created "
                    "manually. They should be instantiated by functions like pack_sequence and "
                    "pack_padded_sequences in nn.utils.rnn."
                )
            return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)
        if not (isinstance(data, (list, tuple)) and len(data) == 2):
            raise AssertionError("PackedSequence expects batch_sizes, or a pair (data, batch_sizes)")
        return super().__new__(cls, data[0], data[1], sorted_indices, unsorted_indices)

    def pin_memory(self) -> PackedSequence:
        """With page-locked memory."""
        move = _optional(lambda t: t.pin_memory())
        return type(self)(
            self.data.pin_memory(), self.batch_sizes, move(self.sorted_indices), move(self.unsorted_indices)
        )

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Like ``Tensor.to`` on data; the index tensors follow its device only."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        kwargs = {k: v for k, v in kwargs.items() if k not in ("device", "dtype")}
        move = _optional(lambda t: t.to(data.device, **kwargs))
        return type(self)(data, self.batch_sizes, move(self.sorted_indices), move(self.unsorted_indices))

    def cuda(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """On the GPU."""
        target = ops.tensor((), dtype=self.data.dtype, device=self.data.device).to(*args, **kwargs)
        if target.is_cuda:
            return self.to(*args, **kwargs)
        kwargs["device"] = "cuda"
        return self.to(*args, **kwargs)

    def cpu(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """On the CPU."""
        target = ops.tensor((), dtype=self.data.dtype, device=self.data.device).to(*args, **kwargs)
        if target.device.type == "cpu":
            return self.to(*args, **kwargs)
        kwargs["device"] = "cpu"
        return self.to(*args, **kwargs)

    def double(self) -> PackedSequence:
        """data as float64."""
        return self.to(dtype=dtypes.float64)

    def float(self) -> PackedSequence:
        """data as float32."""
        return self.to(dtype=dtypes.float32)

    def half(self) -> PackedSequence:
        """data as float16."""
        return self.to(dtype=dtypes.float16)

    def long(self) -> PackedSequence:
        """data as int64."""
        return self.to(dtype=dtypes.int64)

    def int(self) -> PackedSequence:
        """data as int32."""
        return self.to(dtype=dtypes.int32)

    def short(self) -> PackedSequence:
        """data as int16."""
        return self.to(dtype=dtypes.int16)

    def char(self) -> PackedSequence:
        """data as int8."""
        return self.to(dtype=dtypes.int8)

    def byte(self) -> PackedSequence:
        """data as uint8."""
        return self.to(dtype=dtypes.uint8)

    @property
    def is_cuda(self) -> bool:
        """Whether data is on the GPU."""
        return self.data.is_cuda

    def is_pinned(self) -> bool:
        """Whether data is in page-locked memory."""
        return self.data.is_pinned()


def _optional(fn: Any) -> Any:
    return lambda t: None if t is None else fn(t)


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes a 1-D ``permutation``."""
    if permutation is None:
        return None
    positions = ops.arange(permutation.numel(), dtype=permutation.dtype, device=permutation.device)
    return ops.empty_like(permutation).scatter(0, permutation, positions)


def pack_padded_sequence(
    input: Tensor, lengths: Tensor | list[int], batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack (L, N, *), or (N, L, *) with ``batch_first``, by the lengths (N,).

    Lengths must decrease, unless ``enforce_sorted`` is False, which sorts the sequences.
    """
    if isinstance(lengths, Tensor):
        sizes = [int(n) for n in lengths.reshape(-1).tolist()]
        if lengths.dim() != 1 or lengths.device.type != "cpu":
            raise RuntimeError(
                f"'lengths' argument should be a 1D CPU int64 tensor, but got {lengths.dim()}D {lengths.device} tensor"
            )
    else:
        sizes = [int(n) for n in lengths]
    sorted_indices = None
    if not enforce_sorted:
        order = sorted(range(len(sizes)), key=lambda i: -sizes[i])
        sizes = [sizes[i] for i in order]
        sorted_indices = ops.tensor(order, dtype=dtypes.int64, device=input.device)
        input = input.index_select(0 if batch_first else 1, sorted_indices)
    data, batch_sizes = _pack(input, sizes, batch_first)
    return PackedSequence(data, batch_sizes, sorted_indices, None)


def _pack(input: Tensor, lengths: list[int], batch_first: bool) -> tuple[Tensor, Tensor]:
    x = input.transpose(0, 1) if batch_first else input
    if x.numel() == 0:
        raise RuntimeError("Cannot pack empty tensors.")
    if len(lengths) != x.size(1):
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(lengths)} (batch_size={x.size(1)})"
        )
    if any(a < b for a, b in zip(lengths, lengths[1:], strict=False)):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
            "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement if you "
            "do not need ONNX exportability."
        )
    if lengths[-1] <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0"
        )
    if lengths[0] > x.size(0):
        raise RuntimeError(
            f"Expected lengths to be at most the padded length {x.size(0)}, but the longest is {lengths[0]}"
        )
    counts = _counts(lengths)
    rows = [t * x.size(1) + i for t, count in enumerate(counts) for i in range(count)]
    index = ops.tensor(rows, dtype=dtypes.int64, device=x.device)
    data = x.reshape(-1, *x.shape[2:]).index_select(0, index)
    return data, ops.tensor(counts, dtype=dtypes.int64, device="cpu")


def _counts(lengths: list[int]) -> list[int]:
    """How many of the sequences reach each time step; ``lengths`` decrease."""
    counts, running = [], len(lengths)
    for t in range(lengths[0]):
        while running and lengths[running - 1] <= t:
            running -= 1
        counts.append(running)
    return counts


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """(padded (L, N, *) or (N, L, *), int64 lengths (N,)) as before packing; L is ``total_length`` if given."""
    counts = [int(b) for b in sequence.batch_sizes.tolist()]
    steps = len(counts)
    if total_length is not None:
        if total_length < steps:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in input, but got "
                f"total_length={total_length} and max sequence length being {steps}"
            )
        steps = total_length
    batch = counts[0]
    rows = [t * batch + i for t, count in enumerate(counts) for i in range(count)]
    data = sequence.data
    index = ops.tensor(rows, dtype=dtypes.int64, device=data.device)
    padded = ops.full((steps * batch, *data.shape[1:]), padding_value, dtype=data.dtype, device=data.device)
    padded = padded.index_put((index,), data).reshape(steps, batch, *data.shape[1:])
    lengths = [sum(1 for count in counts if count > i) for i in range(batch)]
    if sequence.unsorted_indices is not None:
        padded = padded.index_select(1, sequence.unsorted_indices)
        lengths = [lengths[int(i)] for i in sequence.unsorted_indices.tolist()]
    if batch_first:
        padded = padded.transpose(0, 1)
    return padded, ops.tensor(lengths, dtype=dtypes.int64, device="cpu")


def pad_sequence(
    sequences: Tensor | Sequence[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Stack tensors (L_i, *) to (L, N, *), or (N, L, *) with ``batch_first``, L the longest."""
    if padding_side not in ("left", "right"):
        raise ValueError(f'Expected padding_side to be one of left or right, but got "{padding_side}"')
    if isinstance(sequences, Tensor):
        sequences = list(sequences.unbind(0))
    elif not hasattr(sequences, "__iter__"):
        raise RuntimeError(
            "pad_sequence: Expected iterable for input sequences, but got arg of type: " + str(type(sequences))
        )
    sequences = list(sequences)
    if not sequences:
        raise RuntimeError("received an empty list of sequences")
    longest = max(s.size(0) for s in sequences)
    padded = []
    for s in sequences:
        missing = longest - s.size(0)
        amounts = (missing, 0) if padding_side == "left" else (0, missing)
        padded.append(ops.constant_pad_nd(s, (0, 0) * (s.dim() - 1) + amounts, padding_value) if missing else s)
    return ops.stack(padded, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False) -> list[Tensor]:
    """The tensors (L_i, *) of a padded batch."""
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    return [seq[: int(n)] for seq, n in zip(padded_sequences.unbind(0), lengths.tolist(), strict=True)]


def pack_sequence(sequences: list[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack tensors (L_i, *)."""
    lengths = [s.size(0) for s in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The tensors (L_i, *) that were packed."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
