"""Objects made alike with torch and with this library, and descriptions of them that can be compared.

Run with a folder, it is the torch side of test_serialization.py: it writes torch's files and describes what torch
reads.
"""

import collections
import json
import pathlib
import sys
import warnings

FORMATS = {"zip": True, "legacy": False}
DTYPES = [
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "bool",
    "complex64",
    "complex128",
]
NEW_DTYPES = ["uint16", "uint32", "uint64"]  # torch cannot read its own legacy files of these


def tensors(m):
    """Tensors of all dtypes and shapes, views, parameters."""
    base = m.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    return {
        **{name: m.tensor([[0, 1], [3, 4], [5, 6]], dtype=getattr(m, name)) for name in DTYPES},
        "complex": m.tensor([1 + 2j, -0.5j]),
        "special": m.tensor([float("nan"), float("inf"), -0.0, 1e-40]),
        "base": base,
        "row": base[1],
        "transposed": base.t(),
        "scalar": m.tensor(1.5),
        "empty": m.tensor([]),
        "flag": m.tensor(True),
        "leaf": m.tensor([1.0, 2.0], requires_grad=True),
        "weight": m.nn.Parameter(m.tensor([1.0, 2.0])),
        "frozen": m.nn.Parameter(base, False),
        "meta": m.tensor([1.0, 2.0], device="meta") if m.__name__ == "torch" else meta(m),
    }


def meta(m):
    return m.empty(2, device="meta")


def wide_unsigned(m):
    """Tensors of the dtypes that files describe in another way."""
    return {name: m.tensor([1, 2, 60000], dtype=getattr(m, name)) for name in NEW_DTYPES}


def state(m):
    """What a training script keeps."""
    weight = m.nn.Parameter(m.tensor([[1.0, 2.0]]))
    model = collections.OrderedDict([("0.weight", weight), ("0.bias", m.tensor([0.5]))])
    model._metadata = collections.OrderedDict([("", {"version": 1})])
    tagged = m.tensor([1.0])
    tagged.note = "mine"
    return {
        "epoch": 7,
        "model": model,
        "optimizer": {
            "state": {0: {"step": m.tensor(3.0), "exp_avg": m.tensor([[0.1, 0.2]])}},
            "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999), "params": [0], "foreach": None, "amsgrad": False}],
        },
        "numbers": [1, -2, 300, 70000, 2**40, -(2**70), 1.5, 1j],
        "texts": ["", "é", {"a", "b"}, collections.Counter("aab")],
        "bytes": [b"ab", bytearray(b"cd")],
        "dtype": m.bfloat16,
        "device": m.device("cpu"),
        "size": weight.shape,
        "twice": [weight, weight],
        "tagged": tagged,
        "layout": m.strided,
    }


def modules(m):
    """A whole network."""
    net = m.nn.Sequential(
        m.nn.Conv2d(1, 2, 3, padding=1),
        m.nn.BatchNorm2d(2),
        m.nn.ReLU(),
        m.nn.MaxPool2d(2),
        m.nn.Flatten(),
        m.nn.Dropout(0.25),
        m.nn.Linear(8, 3, bias=False),
        m.nn.LayerNorm(3),
        m.nn.Sigmoid(),
    )
    with m.no_grad():
        for number, p in enumerate(net.parameters()):
            p.copy_(m.arange(p.numel()).reshape(p.shape).to(m.float32) * 0.1 + number)
    return net.eval()


def module_file(m):
    """Modules, some in containers, and their results for one input."""
    net = modules(m)
    x = m.arange(16).reshape(1, 1, 4, 4).to(m.float32) / 16
    return {"net": net, "list": m.nn.ModuleList([m.nn.Tanh(), m.nn.GELU()]), "x": x}


CASES = {"tensors": tensors, "wide_unsigned": wide_unsigned, "state": state}


def describe(value):
    """A description that JSON can hold: of a tensor all that can be seen of it."""
    if hasattr(value, "requires_grad"):
        parts = [type(value).__name__, str(value.dtype), list(value.shape), list(value.stride())]
        parts += [value.storage_offset(), bool(value.requires_grad), value.device.type]
        parts += [getattr(value, "note", None)]
        return [*parts, None if value.device.type == "meta" else repr(value.detach().tolist())]
    if isinstance(value, dict):
        extra = {k: str(v) for k, v in getattr(value, "__dict__", {}).items()}
        return [type(value).__name__, [[repr(k), describe(v)] for k, v in value.items()], extra]
    if isinstance(value, list | tuple):
        return [type(value).__name__, [describe(v) for v in value]]
    if isinstance(value, set):
        return ["set", sorted(map(repr, value))]
    return [type(value).__name__, str(value)]


def describe_modules(value, m):
    """Class names, settings, weights and results of `module_file`."""
    net = value["net"]
    with m.no_grad():
        result = [[round(float(v), 4) for v in row] for row in net(value["x"]).tolist()]
    return [
        repr(net),
        repr(value["list"]),
        describe(net.state_dict()),
        result,
        [p.requires_grad for p in net.parameters()],
    ]


def sharing(value):
    """Whether a change through one view shows in the others. Changes the tensors."""
    value["base"].detach().add_(1)
    return [value["row"].tolist(), value["transposed"].tolist()]


def main(folder):
    """The torch side."""
    import torch

    warnings.simplefilter("ignore")
    found = {}
    for case, make in CASES.items():
        for name, new in FORMATS.items():
            if case == "wide_unsigned" and not new:
                continue
            torch.save(make(torch), folder / f"torch_{case}_{name}.pt", _use_new_zipfile_serialization=new)
            read = torch.load(folder / f"engine_{case}_{name}.pt", weights_only=True)
            found[f"{case}_{name}"] = [describe(make(torch)), describe(read)]
            if case == "tensors":
                found[f"sharing_{name}"] = [sharing(make(torch)), sharing(read)]
            if new:
                mapped = torch.load(folder / f"engine_{case}_{name}.pt", mmap=True)
                found[f"{case}_mmap"] = [describe(make(torch)), describe(mapped)]
    torch.save(module_file(torch), folder / "torch_modules.pt")
    if (folder / "engine_modules.pt").exists():
        read = torch.load(folder / "engine_modules.pt", weights_only=False)
        found["modules"] = [describe_modules(module_file(torch), torch), describe_modules(read, torch)]
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
