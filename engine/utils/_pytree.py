"""Nested containers of values as a flat list and back, with the names of torch.utils._pytree."""

from __future__ import annotations

import functools
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

PyTree = Any
Context = Any
_PAIR = namedtuple("_PAIR", "")


class NodeDef(NamedTuple):
    """How a container type is taken apart (children, context) and put together."""

    flatten_fn: Callable[[Any], tuple[list, Any]]
    unflatten_fn: Callable[[Iterable, Any], Any]
    flatten_with_keys_fn: Callable[[Any], tuple[list, Any]] | None = None


@dataclass(frozen=True)
class MappingKey:
    """A step of a path: the key of a mapping."""

    key: Any

    def __str__(self) -> str:
        return f"[{self.key!r}]"

    def get(self, parent: Any) -> Any:
        """The child."""
        return parent[self.key]


@dataclass(frozen=True)
class SequenceKey:
    """A step of a path: the position in a sequence."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx!r}]"

    def get(self, parent: Any) -> Any:
        """The child."""
        return parent[self.idx]


@dataclass(frozen=True)
class GetAttrKey:
    """A step of a path: an attribute."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"

    def get(self, parent: Any) -> Any:
        """The child."""
        return getattr(parent, self.name)


def _items(d: dict) -> tuple[list, Any]:
    return list(d.values()), list(d.keys())


SUPPORTED_NODES: dict[type, NodeDef] = {
    dict: NodeDef(_items, lambda values, keys: dict(zip(keys, values))),
    list: NodeDef(lambda x: (x, None), lambda values, _: list(values)),
    tuple: NodeDef(lambda x: (list(x), None), lambda values, _: tuple(values)),
    OrderedDict: NodeDef(_items, lambda values, keys: OrderedDict(zip(keys, values))),
    defaultdict: NodeDef(
        lambda d: (list(d.values()), (d.default_factory, list(d.keys()))),
        lambda values, context: defaultdict(context[0], zip(context[1], values)),
    ),
    deque: NodeDef(lambda d: (list(d), d.maxlen), lambda values, maxlen: deque(values, maxlen)),
    _PAIR: NodeDef(lambda t: (list(t), type(t)), lambda values, cls: cls(*values)),
}


def register_pytree_node(
    cls: type,
    flatten_fn: Callable[[Any], tuple[list, Any]],
    unflatten_fn: Callable[[Iterable, Any], Any],
    *,
    flatten_with_keys_fn: Callable[[Any], tuple[list, Any]] | None = None,
    **_: Any,
) -> None:
    """Make a type a container. ValueError if it is one already."""
    if cls in SUPPORTED_NODES:
        raise ValueError(f"{cls} is already registered as pytree node.")
    SUPPORTED_NODES[cls] = NodeDef(flatten_fn, unflatten_fn, flatten_with_keys_fn)


def register_dataclass(cls: type, *, field_names: list[str] | None = None, **_: Any) -> None:
    """Make a dataclass a container of its fields."""
    names = field_names or list(cls.__dataclass_fields__)
    register_pytree_node(
        cls,
        lambda x: ([getattr(x, name) for name in names], names),
        lambda values, keys: cls(**dict(zip(keys, values))),
        flatten_with_keys_fn=lambda x: ([(GetAttrKey(name), getattr(x, name)) for name in names], names),
    )


_register_pytree_node = register_pytree_node


def is_namedtuple(obj: Any) -> bool:
    """Whether it is a named tuple or the class of one."""
    cls = obj if isinstance(obj, type) else type(obj)
    return issubclass(cls, tuple) and isinstance(getattr(cls, "_fields", None), tuple)


def _node_type(tree: Any) -> type:
    cls = type(tree)
    return _PAIR if cls not in SUPPORTED_NODES and is_namedtuple(cls) else cls


def _is_leaf(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    return (is_leaf is not None and is_leaf(tree)) or _node_type(tree) not in SUPPORTED_NODES


@dataclass(init=True, frozen=True)
class TreeSpec:
    """The structure of a nested container without its leaves: node type, context, structures of the children."""

    type: Any
    context: Any
    children_specs: list[TreeSpec]
    num_leaves: int = field(init=False)

    def __post_init__(self) -> None:
        leaves = 1 if self.type is None else sum(child.num_leaves for child in self.children_specs)
        object.__setattr__(self, "num_leaves", leaves)

    @property
    def num_children(self) -> int:
        """Number of direct children."""
        return len(self.children_specs)

    @property
    def num_nodes(self) -> int:
        """Number of nodes with leaves."""
        return 1 + sum(child.num_nodes for child in self.children_specs)

    def is_leaf(self) -> bool:
        """Whether this is the structure of a leaf."""
        return self.type is None

    def children(self) -> list[TreeSpec]:
        """Structures of the children."""
        return list(self.children_specs)

    def child(self, index: int) -> TreeSpec:
        """The structure of one child."""
        return self.children_specs[index]

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """The container with these leaves. ValueError if their number is another."""
        values = list(leaves)
        if len(values) != self.num_leaves:
            raise ValueError(
                f"treespec.unflatten(leaves): `leaves` has length {len(values)} but the spec refers to a pytree that "
                f"holds {self.num_leaves} items ({self})."
            )
        return self._build(iter(values))

    def _build(self, leaves: Iterable[Any]) -> Any:
        if self.type is None:
            return next(leaves)  # type: ignore[call-overload]
        return SUPPORTED_NODES[self.type].unflatten_fn([c._build(leaves) for c in self.children_specs], self.context)

    def flatten_up_to(self, tree: Any) -> list[Any]:
        """The subtrees of ``tree`` at the leaves of this structure. ValueError where they do not match."""
        out: list[Any] = []
        self._flatten_up_to(tree, out)
        return out

    def _flatten_up_to(self, tree: Any, out: list[Any]) -> None:
        if self.type is None:
            out.append(tree)
            return
        if _node_type(tree) is not self.type:
            raise ValueError(f"Type mismatch; expected {self.type!r}, but got {type(tree)!r}.")
        children, context = SUPPORTED_NODES[self.type].flatten_fn(tree)
        if self.type is dict and set(context) == set(self.context):
            children = [tree[key] for key in self.context]
        elif len(children) != len(self.children_specs):
            raise ValueError(f"Node arity mismatch; expected {len(self.children_specs)}, but got {len(children)}.")
        for spec, child in zip(self.children_specs, children):
            spec._flatten_up_to(child, out)

    def __str__(self) -> str:
        return _show(self)

    __repr__ = __str__

    def __hash__(self) -> int:
        return hash((self.type, self.num_leaves, tuple(self.children_specs)))


def _show(spec: TreeSpec) -> str:
    if spec.type is None:
        return "*"
    children = ", ".join(_show(child) for child in spec.children_specs)
    return f"TreeSpec({spec.type.__name__}, {spec.context}, [{children}])"


class LeafSpec(TreeSpec):
    """The structure of a leaf."""

    def __init__(self) -> None:
        super().__init__(None, None, [])


_LEAF = LeafSpec()


def treespec_leaf() -> TreeSpec:
    """The structure of a leaf."""
    return _LEAF


def tree_flatten(tree: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list[Any], TreeSpec]:
    """Leaves in order, and the structure."""
    leaves: list[Any] = []
    return leaves, _flatten(tree, leaves, is_leaf)


def _flatten(tree: Any, leaves: list[Any], is_leaf: Callable[[Any], bool] | None) -> TreeSpec:
    if _is_leaf(tree, is_leaf):
        leaves.append(tree)
        return _LEAF
    kind = _node_type(tree)
    children, context = SUPPORTED_NODES[kind].flatten_fn(tree)
    return TreeSpec(kind, context, [_flatten(child, leaves, is_leaf) for child in children])


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> PyTree:
    """The container of a structure with these leaves."""
    if not isinstance(treespec, TreeSpec):
        raise TypeError(f"tree_unflatten(leaves, treespec): expected treespec of type TreeSpec, got {type(treespec)}")
    return treespec.unflatten(leaves)


def tree_leaves(tree: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """Leaves in order."""
    return tree_flatten(tree, is_leaf)[0]


tree_iter = tree_leaves


def tree_structure(tree: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> TreeSpec:
    """The structure."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map(func: Callable, tree: PyTree, *rests: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> PyTree:
    """The container of ``func(leaf, *leaves of rests)``; ``rests`` have at least the first one's structure."""
    leaves, spec = tree_flatten(tree, is_leaf)
    columns = [leaves, *(spec.flatten_up_to(rest) for rest in rests)]
    return spec.unflatten(map(func, *columns))


def tree_map_(func: Callable, tree: PyTree, *rests: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> PyTree:
    """Call ``func`` on the leaves; returns the tree itself."""
    tree_map(func, tree, *rests, is_leaf=is_leaf)
    return tree


def map_only(type_or_types: Any) -> Callable[[Callable], Callable]:
    """A decorator: the function for values of these types (or that a predicate accepts), others stay."""
    if isinstance(type_or_types, (type, tuple)):

        def wanted(x: Any) -> bool:
            return isinstance(x, type_or_types)
    else:
        wanted = type_or_types

    def wrapper(func: Callable) -> Callable:
        @functools.wraps(func)
        def wrapped(x: Any) -> Any:
            return func(x) if wanted(x) else x

        return wrapped

    return wrapper


def tree_map_only(
    type_or_types: Any, func: Callable, tree: PyTree, is_leaf: Callable[[Any], bool] | None = None
) -> PyTree:
    """``tree_map`` for the leaves of some types; others stay."""
    return tree_map(map_only(type_or_types)(func), tree, is_leaf=is_leaf)


def tree_map_only_(
    type_or_types: Any, func: Callable, tree: PyTree, is_leaf: Callable[[Any], bool] | None = None
) -> PyTree:
    """``tree_map_`` for the leaves of some types."""
    return tree_map_(map_only(type_or_types)(func), tree, is_leaf=is_leaf)


def tree_all(pred: Callable[[Any], bool], tree: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Whether the predicate holds for all leaves."""
    return all(map(pred, tree_leaves(tree, is_leaf)))


def tree_any(pred: Callable[[Any], bool], tree: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Whether the predicate holds for any leaf."""
    return any(map(pred, tree_leaves(tree, is_leaf)))


def tree_all_only(types: Any, pred: Callable, tree: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """``tree_all`` over the leaves of some types."""
    return all(pred(x) for x in tree_leaves(tree, is_leaf) if isinstance(x, types))


def tree_any_only(types: Any, pred: Callable, tree: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """``tree_any`` over the leaves of some types."""
    return any(pred(x) for x in tree_leaves(tree, is_leaf) if isinstance(x, types))


def _children_with_keys(tree: Any) -> list[tuple[Any, Any]]:
    node = SUPPORTED_NODES[_node_type(tree)]
    if node.flatten_with_keys_fn is not None:
        return list(node.flatten_with_keys_fn(tree)[0])
    children, _ = node.flatten_fn(tree)
    if isinstance(tree, dict):
        return [(MappingKey(key), child) for key, child in zip(tree, children)]
    if is_namedtuple(tree):
        return [(GetAttrKey(name), child) for name, child in zip(tree._fields, children)]
    return [(SequenceKey(i), child) for i, child in enumerate(children)]


def tree_leaves_with_path(tree: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> list[tuple[tuple, Any]]:
    """(path, leaf) in order; a path is a tuple of keys."""
    if _is_leaf(tree, is_leaf):
        return [((), tree)]
    return [
        ((key, *path), leaf)
        for key, child in _children_with_keys(tree)
        for path, leaf in tree_leaves_with_path(child, is_leaf)
    ]


def tree_flatten_with_path(
    tree: PyTree, is_leaf: Callable[[Any], bool] | None = None
) -> tuple[list[tuple[tuple, Any]], TreeSpec]:
    """(path, leaf) in order, and the structure."""
    return tree_leaves_with_path(tree, is_leaf), tree_structure(tree, is_leaf)


def tree_map_with_path(
    func: Callable, tree: PyTree, *rests: PyTree, is_leaf: Callable[[Any], bool] | None = None
) -> PyTree:
    """``tree_map`` whose function gets the path first."""
    pairs, spec = tree_flatten_with_path(tree, is_leaf)
    columns = [[p for p, _ in pairs], [x for _, x in pairs], *(spec.flatten_up_to(rest) for rest in rests)]
    return spec.unflatten(map(func, *columns))


def keystr(path: Sequence[Any]) -> str:
    """A path as text: ``['a'][0].b``."""
    return "".join(str(key) for key in path)


def key_get(obj: Any, path: Sequence[Any]) -> Any:
    """The part of a container that a path leads to."""
    for key in path:
        obj = key.get(obj)
    return obj


def _broadcast_to_and_flatten(
    tree: PyTree, treespec: TreeSpec, is_leaf: Callable[[Any], bool] | None = None
) -> list[Any] | None:
    """Leaves of ``tree`` repeated to fill a deeper structure; None where it does not fit."""
    if _is_leaf(tree, is_leaf):
        return [tree] * treespec.num_leaves
    if treespec.is_leaf() or _node_type(tree) is not treespec.type:
        return None
    children, context = SUPPORTED_NODES[treespec.type].flatten_fn(tree)
    if len(children) != treespec.num_children or context != treespec.context:
        return None
    out: list[Any] = []
    for child, spec in zip(children, treespec.children_specs):
        part = _broadcast_to_and_flatten(child, spec, is_leaf)
        if part is None:
            return None
        out.extend(part)
    return out
