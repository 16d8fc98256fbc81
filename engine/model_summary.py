"""``engine.summary``: a network's layers, output shapes, parameters, multiply-adds and memory as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any

from . import nn, ops
from .autograd import no_grad
from .dtypes import float32
from .progress import size_text
from .tensor import Tensor


@dataclass
class Layer:
    """One call of a module.

    Attributes:
        name: attribute under which its parent holds it. kind: its class. depth: 0 for the network itself.
        output_size: shape of the output, a list of shapes for several tensors, None if there is none.
        params, trainable: its own parameters, without those of its children; 0 when it was called before.
        mult_adds: multiply-adds of this call, without those of its children.
        output_bytes: size of the output of a module without children.
        again: it was called before.
    """

    name: str
    kind: str
    depth: int
    params: int = 0
    trainable: int = 0
    mult_adds: int = 0
    output_bytes: int = 0
    output_size: Any = None
    again: bool = False
    children: list[Layer] = field(default_factory=list)

    def total(self, what: str) -> int:
        """An attribute summed over this layer and all below."""
        return getattr(self, what) + sum(child.total(what) for child in self.children)

    def walk(self, depth: int) -> Iterator[Layer]:
        """This layer and those below, down to a depth."""
        if self.depth <= depth:
            yield self
            for child in self.children:
                yield from child.walk(depth)


class Summary:
    """What ``summary`` found; ``str()`` is the table.

    Attributes: total_params, trainable_params, total_mult_adds; input_bytes, param_bytes (with buffers), output_bytes
    (outputs of all layers in one forward pass); layers: the calls in order; root: the call of the network.
    """

    def __init__(self, model: nn.Module, root: Layer, input_bytes: int, depth: int) -> None:
        parameters = list(model.parameters())
        self.root = root
        self.depth = depth
        self.total_params = sum(p.numel() for p in parameters)
        self.trainable_params = sum(p.numel() for p in parameters if p.requires_grad)
        self.total_mult_adds = root.total("mult_adds")
        self.input_bytes = input_bytes
        self.param_bytes = sum(t.nbytes for t in (*parameters, *model.buffers()))
        self.output_bytes = root.total("output_bytes")

    @property
    def layers(self) -> list[Layer]:
        """All calls, in order."""
        return list(self.root.walk(1 << 30))

    @property
    def total_bytes(self) -> int:
        """Inputs, parameters and outputs together: what a training step holds at least before the backward pass."""
        return self.input_bytes + self.param_bytes + self.output_bytes

    def __repr__(self) -> str:
        return f"<Summary of {self.root.kind}: {self.total_params:,} parameters>"

    def __str__(self) -> str:
        head = ("Layer", "Output shape", "Parameters", "Multiply-adds")
        rows = [self._row(layer) for layer in self.root.walk(self.depth)]
        widths = [max(len(row[i]) for row in (head, *rows)) for i in range(4)]
        line = "─" * (sum(widths) + 6)
        cells = [self._line(row, widths) for row in rows]
        sizes = [size_text(n) for n in (self.input_bytes, self.param_bytes, self.output_bytes, self.total_bytes)]
        fixed = self.total_params - self.trainable_params
        return "\n".join(
            [
                line,
                self._line(head, widths),
                line,
                *cells,
                line,
                f"Parameters: {self.total_params:,} ({self.trainable_params:,} trainable, {fixed:,} fixed)",
                f"Multiply-adds: {self.total_mult_adds:,}",
                f"Memory: input {sizes[0]}, parameters and buffers {sizes[1]}, outputs {sizes[2]}, together {sizes[3]}",
                line,
            ]
        )

    def _row(self, layer: Layer) -> tuple[str, str, str, str]:
        label = f"{layer.name} ({layer.kind})" if layer.name else layer.kind
        indent = "  " * layer.depth
        shown = layer.depth < self.depth and bool(layer.children)
        params = layer.params if shown else layer.total("params")
        work = layer.mult_adds if shown else layer.total("mult_adds")
        counted = "again" if layer.again else f"{params:,}" if params else "-"
        shape = "-" if layer.output_size is None else str(layer.output_size)
        return indent + label, shape, counted, f"{work:,}" if work else "-"

    @staticmethod
    def _line(row: Sequence[str], widths: Sequence[int]) -> str:
        left = "  ".join(text.ljust(width) for text, width in zip(row[:2], widths[:2]))
        right = "  ".join(text.rjust(width) for text, width in zip(row[2:], widths[2:]))
        return f"{left}  {right}".rstrip()


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [t for item in value for t in _tensors(item)]
    return []


def _mult_adds(module: nn.Module, inputs: list[Tensor], outputs: list[Tensor]) -> int:
    """Multiply-adds of a module's own work; norms and elementwise functions count nothing."""
    if not outputs:
        return 0
    out = outputs[0]
    if isinstance(module, (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
        return inputs[0].numel() * module.weight.numel() // module.in_channels
    if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        return out.numel() * module.weight.numel() // module.out_channels
    if isinstance(module, nn.Linear):
        return out.numel() * module.in_features
    if isinstance(module, nn.Bilinear):
        return out.numel() * module.in1_features * module.in2_features
    if isinstance(module, nn.RNNBase):
        steps = inputs[0].numel() // module.input_size
        return steps * sum(p.numel() for name, p in module.named_parameters() if name.startswith("weight"))
    if isinstance(module, nn.RNNCellBase):
        return inputs[0].numel() // module.input_size * (module.weight_ih.numel() + module.weight_hh.numel())
    if isinstance(module, nn.MultiheadAttention):
        return _attention_mult_adds(module, inputs)
    return 0


def _attention_mult_adds(module: nn.MultiheadAttention, inputs: list[Tensor]) -> int:
    """Projections of query, key, value and result, the scores, and the weighted sums."""
    query, key = inputs[0], inputs[1] if len(inputs) > 1 else inputs[0]
    width = module.embed_dim
    tokens, others = query.numel() // width, key.numel() // module.kdim
    batch = 1 if query.ndim == 2 else query.shape[0 if module.batch_first else 1]
    projections = 2 * tokens * width * width + others * width * (module.kdim + module.vdim)
    return projections + 2 * tokens * (others // batch) * width


class _Recorder:
    """Builds the tree of calls through hooks."""

    def __init__(self, model: nn.Module) -> None:
        self.names = {id(m): name.rpartition(".")[2] for name, m in model.named_modules()}
        self.names[id(model)] = ""
        self.stack: list[Layer] = []
        self.root: Layer | None = None
        self.seen: set[int] = set()

    def before(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        """A module is called."""
        layer = Layer(self.names[id(module)], type(module).__name__, len(self.stack), again=id(module) in self.seen)
        for parameter in module.parameters(recurse=False):
            if id(parameter) not in self.seen:
                self.seen.add(id(parameter))
                layer.params += parameter.numel()
                layer.trainable += parameter.numel() if parameter.requires_grad else 0
        if isinstance(module, nn.MultiheadAttention):  # reads its output projection without calling it
            fresh = [p for p in module.out_proj.parameters() if id(p) not in self.seen]
            self.seen.update(map(id, fresh))
            layer.params += sum(p.numel() for p in fresh)
        self.seen.add(id(module))
        if self.stack:
            self.stack[-1].children.append(layer)
        elif self.root is None:
            self.root = layer
        self.stack.append(layer)

    def after(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        """It has returned."""
        layer = self.stack.pop()
        outputs = _tensors(output)
        shapes = [list(t.shape) for t in outputs]
        layer.output_size = shapes[0] if len(shapes) == 1 else shapes or None
        layer.mult_adds = _mult_adds(module, _tensors((args, kwargs)), outputs)
        if not layer.children:
            layer.output_bytes = sum(t.nbytes for t in outputs)

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        """Record the calls made inside, in eval mode; the modes are put back."""
        modes = {m: m.training for m in model.modules()}
        handles = []
        for module in modes:
            handles.append(module.register_forward_pre_hook(self.before, with_kwargs=True))
            handles.append(module.register_forward_hook(self.after, with_kwargs=True))
        model.eval()
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            for module, training in modes.items():
                module.training = training


def summary(
    model: nn.Module,
    input_size: Any = None,
    input_data: Any = None,
    *,
    dtypes: Any = None,
    device: Any = None,
    depth: int = 3,
    verbose: bool = True,
    **kwargs: Any,
) -> Summary:
    """Describe a network by running it once (shapes only: as nothing reads the result, nothing is computed).

    Args:
        input_size: shape of the input with its batch dimension, ``(1, 3, 224, 224)``, or a list of shapes.
        input_data: the input itself instead: a tensor, a tuple or list of arguments, or a dict of named ones.
        dtypes: dtype, or a list of them, of the inputs made from ``input_size``; float32 by default.
        device: of these inputs; the model's own by default.
        depth: levels of modules to show; deeper ones are counted in the level above.
        verbose: print the table.
        kwargs: further arguments of the model.

    Returns a Summary. ValueError if neither or both of input_size and input_data are given.
    """
    if (input_size is None) == (input_data is None):
        raise ValueError("summary() needs either input_size or input_data")
    first = next(iter((*model.parameters(), *model.buffers())), None)
    if input_data is None:
        where = device if device is not None else first.device if first is not None else None
        input_data = _made(input_size, dtypes, where)
    recorder = _Recorder(model)
    with no_grad(), recorder.watching(model):
        if isinstance(input_data, Mapping):
            model(**input_data, **kwargs)
        elif isinstance(input_data, (list, tuple)):
            model(*input_data, **kwargs)
        else:
            model(input_data, **kwargs)
    input_bytes = sum(t.nbytes for t in _tensors((input_data, kwargs)))
    found = Summary(model, recorder.root, input_bytes, depth)
    if verbose:
        print(found)
    return found


def _made(input_size: Any, dtypes: Any, device: Any) -> list[Tensor]:
    sizes = [tuple(input_size)] if isinstance(input_size[0], int) else [tuple(size) for size in input_size]
    kinds = list(dtypes) if isinstance(dtypes, (list, tuple)) else [dtypes or float32] * len(sizes)
    if len(kinds) != len(sizes) or any(prod(size) < 0 for size in sizes):
        raise ValueError(f"input_size={input_size} and dtypes={dtypes} do not go together")
    return [ops.zeros(size, dtype=kind, device=device) for size, kind in zip(sizes, kinds)]
