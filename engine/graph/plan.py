"""Plans: from a canonical log of calls to launches that can be replayed with other buffers and numbers."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import numpy as np

import cl_kernels

from .. import dtypes, opencl
from ..errors import BuildError
from ..settings import settings
from . import codegen, describe, mathlib, nest
from .batch import batches, fits
from .batch_kernel import Batch, combine
from .epilogue import Epilogue, epilogue
from .fuse import Group, fuse
from .ir import Builder, Ref, Val
from .library.call import Fault, Float, Int, KernelCall, Operand, Scratch
from .memory_plan import MemoryPlan, Slot, nbytes
from .native import Native
from .node import Call
from .spec import Spec
from .view import View

_PACK = 24  # kernels in one program: bounds what one compiler error or cache entry concerns
_MERGE_AFTER = 2  # runs of a plan of tiny kernels before they become one program
_FEW = 3  # launches for which a tiny plan is not worth a program of its own
_MERGE_WORK = 60_000  # elements times instructions a launch must save to be worth giving up the other units
_INLINE_SECONDS = 40e-6  # waking the workers costs about 30 us, and they halve what lies above that
_TIMED = 6  # runs after merging that are timed to see whether the estimate holds
_CORE_FLOPS = 60e9  # one core's rates: small kernels reach a part of what large ones do
_CORE_BYTES = 20e9
_OPS_A_FLOP = 4  # generated code counts exp and its like as one
_ROWS_A_UNIT = 4  # independent rows of a reduction that keep a compute unit busy and even the load out
_pack_long = struct.Struct("q").pack


@cache
def library_source(name: str) -> str:
    """Text of a file of cl_kernels, with what it includes."""
    return cl_kernels.source(name)


class Launch:
    """One kernel with its arguments: fixed ones are set, the others listed by where they come from.

    ``buffers``: (argument, slot); ``numbers``: (argument, number, packer).
    """

    __slots__ = ("bound", "buffers", "numbers", "last")

    def __init__(self, bound: opencl.BoundKernel, buffers: list[tuple[int, Slot]], numbers: list[tuple]) -> None:
        self.bound = bound
        self.buffers = buffers
        self.numbers = numbers
        self.last: list[Any] = [None] * len(buffers)

    def run(self, plan: Plan, ins: list, outs: list, arena: Any, scalars: list) -> None:
        kernel = self.bound.kernel
        last = self.last
        for i, (arg, kind, number) in enumerate(self.buffers):
            mem = (ins[number] if kind == 0 else outs[number] if kind == 1 else arena).mem
            if mem is not last[i]:
                kernel.set_arg(arg, mem)
                last[i] = mem
        for arg, number, pack in self.numbers:
            kernel._set_arg_buf(arg, pack(scalars[number]))
        self.bound.enqueue()


class TableLaunch(Launch):
    """A kernel that finds its buffers by the addresses in a table, its first argument. The table is written anew when
    they change.

    ``places``: (position in the table, and the place as of a slot); ``cells``: (position, number, packer).
    """

    __slots__ = ("table", "raw", "cells", "ins", "outs", "in_arena", "at", "offsets")

    def __init__(
        self,
        bound: opencl.BoundKernel,
        numbers: list[tuple],
        table: np.ndarray,
        places: list[tuple],
        cells: list[tuple],
    ) -> None:
        super().__init__(bound, [], numbers)
        self.table = table
        self.raw = memoryview(table).cast("B")
        self.cells = cells
        ordered = sorted(places, key=lambda p: p[1])
        self.ins = [number for _, kind, number, _ in ordered if kind == 0]
        self.outs = [number for _, kind, number, _ in ordered if kind == 1]
        self.in_arena = len(places) - len(self.ins) - len(self.outs)
        self.at = np.array([position for position, *_ in ordered], np.int64)
        self.offsets = np.array([offset for *_, offset in ordered], np.int64)

    def run(self, plan: Plan, ins: list, outs: list, arena: Any, scalars: list) -> None:
        addresses = [ins[n].block.address for n in self.ins]
        addresses += [outs[n].block.address for n in self.outs]
        if self.in_arena:
            addresses += [arena.block.address] * self.in_arena
        if addresses != self.last or self.cells:
            self.last = addresses
            self.table[self.at] = addresses
            self.table[self.at] += self.offsets
            for position, number, pack in self.cells:
                value = pack(scalars[number])
                self.raw[8 * position : 8 * position + len(value)] = value
            memory = plan.runtime.memory
            buffer = memory.idle_buffer(self.table.nbytes) or memory.alloc(self.table.nbytes)
            plan.runtime.queue.write(buffer, 0, self.table, fresh=True)
            self.bound.set_buffer(0, buffer)
        kernel = self.bound.kernel
        for arg, number, pack in self.numbers:
            kernel._set_arg_buf(arg, pack(scalars[number]))
        self.bound.enqueue()


class CopyStep:
    """A copy of bytes between slots."""

    __slots__ = ("source", "target", "size")

    def __init__(self, source: tuple, target: tuple, size: int) -> None:
        self.source = source
        self.target = target
        self.size = size

    def run(self, plan: Plan, ins: list, outs: list, arena: Any, scalars: list) -> None:
        (a, a_offset), (b, b_offset) = (
            ((ins[n] if kind == 0 else outs[n] if kind == 1 else arena), offset)
            for kind, n, offset in (self.source, self.target)
        )
        plan.runtime.queue.copy(a, a_offset, b, b_offset, self.size)


class HostStep:
    """A NumPy function on the host: waits for its operands, writes its results."""

    __slots__ = ("function", "operands", "results")

    def __init__(self, function: Callable, operands: list, results: list) -> None:
        self.function = function
        self.operands = operands
        self.results = results

    def run(self, plan: Plan, ins: list, outs: list, arena: Any, scalars: list) -> None:
        queue = plan.runtime.queue
        arrays = []
        for (kind, n, offset), shape, dtype in self.operands:
            buffer = ins[n] if kind == 0 else outs[n] if kind == 1 else arena
            raw = np.empty(int(np.prod(shape, dtype=np.int64)), dtype.numpy)
            queue.read(buffer, offset, raw)
            arrays.append(dtypes.from_storage(raw.reshape(shape), dtype))
        made_ = self.function(*arrays)
        for value, result in zip(made_, self.results):
            if result is None:
                continue
            (kind, n, offset), dtype = result
            buffer = outs[n] if kind == 1 else arena
            queue.write(buffer, offset, np.ascontiguousarray(dtypes.to_storage(np.asarray(value), dtype)).reshape(-1))


class Packs:
    """Programs of generated kernels: what a plan adds is compiled as one text, as each program costs by itself."""

    def __init__(self) -> None:
        self._programs: dict[tuple[bool, str], str] = {}  # (inline, kernel name) -> text of the program that has it

    def add(self, kernels: list[codegen.Generated | Batch], inline: bool) -> None:
        """Put kernels that are in no program yet into a new one. ``inline``: programs for the calling thread have
        other companions, as each text is compiled for one of the two only."""
        new = {k.name: k.source for k in kernels if (inline, k.name) not in self._programs}
        names = list(new)
        for at in range(0, len(names), _PACK):
            part = names[at : at + _PACK]
            text = "\n".join(new[name] for name in part)
            program = mathlib.needed(text) + text
            self._programs.update(((inline, name), program) for name in part)

    def program_of(self, kernel: codegen.Generated | Batch, inline: bool) -> str:
        """The text of the program that has a kernel."""
        return self._programs[inline, kernel.name]

    def forget(self, program: str) -> None:
        """A program does not compile: its kernels, of which one alone may be at fault, go into others when next
        used.
        """
        self._programs = {key: text for key, text in self._programs.items() if text != program}


class Plan:
    """Launches for one canonical log.

    Attributes:
        outs: (bytes, donated input or None) of each output. runs: how often it was replayed.
        inline: small enough to run in the calling thread while the device is idle. active: the steps of the last run.
    """

    def __init__(
        self,
        runtime: opencl.Runtime,
        outputs: list[Val],
        donatable: set[int],
        former: dict[int, int],
        fault: opencl.Buffer,
        packs: Packs,
    ) -> None:
        self.runtime = runtime
        self.fault = fault
        self.packs = packs
        self.caps = runtime.caps
        self.runs = 0
        self.merged = False
        self.schedule = settings.schedule if settings.schedule != "auto" else self.caps.schedule
        self.made: dict[Group, codegen.Generated] = {}
        steps = self._steps(fuse(outputs, settings.fusion), set(outputs))
        self.groups = [group for step in steps for group in step]
        self.memory = MemoryPlan(steps, outputs, donatable, former)
        self.arena_bytes = self.memory.arena_bytes
        self.outs: list[tuple[int, int | None]] = [
            (max(nbytes(v), 1), self.memory.donated.get(i)) for i, v in enumerate(outputs)
        ]
        self.groups_of: dict[int, list[Group]] = {}  # step -> what it computes
        pending: list[Any] = []
        for t, groups in enumerate(steps):
            for copy in self.memory.copies.get(t, ()):
                pending.append(CopyStep(self.place(copy.source), self.place(copy.target), copy.nbytes))
            for item, parts in self._items(groups):
                self.groups_of[len(pending)] = parts
                pending.append(item)
        self._pending = pending
        self._lanes: dict[bool, list[Any]] = {}  # whether in the calling thread -> steps
        self._fastest = float("inf")
        self.inline = runtime.inline_programs is not None and self._estimate() <= _INLINE_SECONDS
        self.steps = self.active = self._lane(self.inline)
        self.mergeable = self._tiny(self.groups) and len(self.generated) == len(self.steps)

    @property
    def generated(self) -> list[codegen.Generated]:
        """The generated kernels, in order."""
        return [self.made[g] for g in self.groups if g in self.made]

    def _tiny(self, groups: list[Group]) -> bool:
        """Whether a plan is so small that one work-item had better run all of it."""
        return (
            self.schedule == "cpu"
            and settings.fusion
            and len(groups) > 1
            and all(g in self.made for g in groups)
            and sum(m.work for m in self.made.values()) <= _MERGE_WORK * len(groups)
        )

    def _steps(self, groups: list[Group], outputs: set[Val]) -> list[list[Group]]:
        """Groups in order, those that share a launch together."""
        caps = self.caps
        for group in groups:
            if group.native is None:
                body = nest.build(group)
                if body.rows:
                    self.made[group] = codegen.generate(
                        body, self.schedule, caps.compute_units, caps.fp64, caps.float_vector_width
                    )
        groups = [g for g in groups if g.native is not None or g in self.made]
        alone = [[g] for g in groups]
        if not settings.fusion:
            return alone

        def name_of(group: Group) -> str | None:
            kernel = self.made.get(group)
            return kernel.name if kernel is not None and fits(kernel) else None

        steps = batches(groups, name_of, outputs)
        return alone if len(steps) > _FEW and self._tiny(groups) else steps

    @property
    def kernel_count(self) -> int:
        """Launches of one run."""
        return sum(isinstance(s, Launch) for s in self.steps)

    def run(self, ins: list, scalars: list, arena: Any) -> list:
        """Enqueue everything; returns the output buffers."""
        outs = self.buffers(ins)
        self.launch(ins, outs, scalars, arena)
        return outs

    def buffers(self, ins: list, reuse: list | None = None) -> list:
        """Buffers for the outputs: donated inputs, those of ``reuse`` that are not None, else new ones."""
        alloc = self.runtime.memory.alloc
        if reuse is None:
            return [alloc(size) if donor is None else ins[donor] for size, donor in self.outs]
        return [
            (old if old is not None else alloc(size)) if donor is None else ins[donor]
            for (size, donor), old in zip(self.outs, reuse)
        ]

    def launch(self, ins: list, outs: list, scalars: list, arena: Any) -> None:
        """Enqueue all steps."""
        self.runs += 1
        if self.mergeable and self.runs > _MERGE_AFTER:
            self._merge()
        if self.inline and self.runtime.queue.is_idle():
            self._launch_inline(ins, outs, scalars, arena)
            return
        self.active = self._lanes.get(False) or self._lane(False)
        for step in self.active:
            step.run(self, ins, outs, arena, scalars)

    @property
    def restless(self) -> bool:
        """Whether the next runs may still choose another form: merged, or by the workers."""
        return self.runs <= _MERGE_AFTER + (_TIMED if self.inline else 0)

    def _launch_inline(self, ins: list, outs: list, scalars: list, arena: Any) -> None:
        """Run in the calling thread. The first runs are timed: what takes long goes to the workers from then on."""
        timed = self.runs <= _MERGE_AFTER + _TIMED
        start = time.perf_counter() if timed else 0.0
        self.active = self._lanes.get(True) or self._lane(True)
        for step in self.active:
            step.run(self, ins, outs, arena, scalars)
        if timed:
            self._fastest = min(self._fastest, time.perf_counter() - start)
            self.inline = self.runs < _MERGE_AFTER + _TIMED or self._fastest <= _INLINE_SECONDS

    def _estimate(self) -> float:
        """Seconds that all steps take on one core, roughly."""
        seconds = 0.0
        for item in self._pending:
            if isinstance(item, tuple):
                call = item[0]
                seconds += call.seconds or call.flops / _CORE_FLOPS + call.nbytes / _CORE_BYTES
            elif not isinstance(item, (codegen.Generated, Batch)):
                return float("inf")
        for group in self.groups:
            if group.native is None:
                flops, moved = describe.cost(group)
                seconds += _OPS_A_FLOP * flops / _CORE_FLOPS + moved / _CORE_BYTES
        return seconds

    def _lane(self, inline: bool) -> list[Any]:
        """The steps bound to one of the device's two queues."""
        found = self._lanes.get(inline)
        if found is None:
            found = self._build(inline)
            if not self.merged:
                self._describe(found)
            self._lanes[inline] = found
        return found

    # -- for people -------------------------------------------------------------------------------------------------
    def _describe(self, steps: list[Any]) -> None:
        """Give the launches their labels, and those of generated kernels their cost, for profiles."""
        for i, groups in self.groups_of.items():
            step = steps[i]
            if isinstance(step, Launch):
                step.bound.label = describe.label(groups[0])
                if groups[0].native is None:
                    costs = [describe.cost(group) for group in groups]
                    step.bound.flops, step.bound.nbytes = sum(c[0] for c in costs), sum(c[1] for c in costs)

    def launched(self) -> list[tuple[str, list[int]]]:
        """(label, positions of its ops in the log) of each launch of a run."""
        if not self.merged:
            parts = [self.groups_of[i] for i, s in enumerate(self.steps) if isinstance(s, Launch)]
            return [(describe.label(p[0]), sorted({n for g in p for n, _ in describe.origins(g)})) for p in parts]
        places = sorted({p for g in self.groups for p, _ in describe.origins(g)})
        return [(self.steps[0].bound.label, places)]

    # -- places -----------------------------------------------------------------------------------------------------
    @staticmethod
    def place(slot: Slot) -> tuple[int, int, int]:
        """(0 input, 1 output, 2 arena; number; byte offset) of a slot."""
        if slot.kind == "in":
            return 0, slot.number, 0
        if slot.kind == "out":
            return 1, slot.number, 0
        return 2, 0, slot.offset

    # -- making launches --------------------------------------------------------------------------------------------
    def _items(self, groups: list[Group]) -> list[tuple[Any, list[Group]]]:
        """What a step of the memory plan launches, each with the groups that it computes."""
        if len(groups) == 1:
            return [(item, groups) for item in self._group(groups[0])]
        members = {self.made[g]: g for g in groups}
        caps, addresses = self.caps, self.runtime.memory.host_visible
        made_ = combine(list(members), self.memory.slots, caps.max_parameter_size, caps.fp64, addresses)
        return [(batch, [members[m] for m in batch.members]) for batch in made_]

    def _group(self, group: Group) -> list[Any]:
        if group.native is None:
            return [self.made[group]]
        val = group.native
        if val.kind == "host":
            return [self._host(group)]
        if val.kind == "bitcast":
            source = self.memory.slots[val.args[0][0]]
            return [CopyStep(self.place(source), self.place(self.memory.slots[val]), nbytes(val))]
        return self._native(group)

    def _host(self, group: Group) -> HostStep:
        val = group.native
        function, shapes = val.attrs
        operands = [(self.place(self.memory.slots[v]), shape, v.dtype) for (v, _), shape in zip(val.args, shapes)]
        if group.outs:
            results: list[Any] = [None] * (1 + max(o.attrs for o in group.outs))
            for out in group.outs:
                results[out.attrs] = (self.place(self.memory.slots[out]), out.dtype)
        else:
            results = [(self.place(self.memory.slots[val]), val.dtype)]
        return HostStep(function, operands, results)

    def _native(self, group: Group) -> list[Any]:
        """Bind the launches of a library kernel to slots."""
        val = group.native
        attrs: Native = val.attrs
        self._scratch_end = self.memory.arena_bytes
        where: dict[str, tuple[tuple[int, int, int], int, int]] = {}
        for name, (v, view) in list(zip(attrs.operands, val.args))[attrs.inplace :]:
            place = self.place(self.memory.slots[v])
            where[name] = (place, place[2] // v.dtype.itemsize + view.offset, v.dtype.itemsize)
        outs = {o.attrs: o for o in group.outs} if group.outs else {0: val}
        for i, name in enumerate(attrs.outs):
            if i in outs:
                place = self.place(self.memory.slots[outs[i]])
                where[name] = (place, place[2] // outs[i].dtype.itemsize, outs[i].dtype.itemsize)
            else:
                shape, dtype = attrs.outputs[i]
                where[name] = self._scratch(int(np.prod(shape, dtype=np.int64)) * dtype.itemsize, dtype.itemsize)
        launches = []
        hook = epilogue(group, self.caps.fp64, self.caps.float_vector_width) if group.members else None
        for call in attrs.calls(self.caps):
            for arg in call.args:
                if isinstance(arg, Scratch) and arg.name not in where:
                    where[arg.name] = self._scratch(arg.nbytes, arg.itemsize)
            own = hook if call.epilogue else None
            launches.append((call, where, self._library_text(attrs, call, own), own))
        return launches

    def _scratch(self, size: int, itemsize: int) -> tuple[tuple[int, int, int], int, int]:
        """Memory behind the arena for one group's launches; the next group uses the same again."""
        offset = -(-self._scratch_end // 128) * 128
        self._scratch_end = offset + size
        self.arena_bytes = max(self.arena_bytes, self._scratch_end)
        return (2, 0, offset), offset // itemsize, itemsize

    def _build(self, inline: bool) -> list[Any]:
        if self.merged:
            return [self._merged_launch(inline)]
        self.packs.add([item for item in self._pending if isinstance(item, (codegen.Generated, Batch))], inline)
        steps = []
        for item in self._pending:
            if isinstance(item, (codegen.Generated, Batch)):
                program = self.packs.program_of(item, inline)
                launch = self._batch if isinstance(item, Batch) else self._launch
                try:
                    steps.append(launch(item, program, inline))
                except BuildError:
                    self.packs.forget(program)
                    raise
            elif isinstance(item, tuple):
                steps.append(self._library_launch(*item, inline))
            else:
                steps.append(item)
        return steps

    @staticmethod
    def source_of(text: str) -> str:
        """A whole program for a generated kernel."""
        return mathlib.needed(text) + text

    @staticmethod
    def _library_text(attrs: Native, call: KernelCall, hook: Epilogue | None) -> str:
        """A whole program for a hand-written kernel: what it includes, then its file. "math.cl" stands for the scalar
        functions that are named in them or in the options."""
        files = [name for name in attrs.include if name != "math.cl"]
        text = "".join(library_source(name) for name in [*files, call.source])
        if "math.cl" in attrs.include:
            text = mathlib.needed(" ".join([text, *call.options])) + text
        return text if hook is None else mathlib.needed(hook.source) + hook.source + text

    def _kernel(self, inline: bool, source: str, name: str, options: tuple[str, ...] = ()) -> Any:
        programs = self.runtime.inline_programs if inline else self.runtime.programs
        return programs.kernel(source, name, options)

    def _launch(self, made_: codegen.Generated, source: str, inline: bool) -> Launch:
        kernel = self._kernel(inline, source, made_.name)
        queue = self.runtime.queue
        bound = opencl.BoundKernel(queue, kernel, made_.global_size, made_.local_size, inline=inline)
        buffers: list[Any] = []
        numbers = self._arguments(bound, made_.args, buffers, 0)
        return Launch(bound, buffers, numbers)

    def _batch(self, batch: Batch, source: str, inline: bool) -> Launch:
        kernel = self._kernel(inline, source, batch.name)
        queue = self.runtime.queue
        bound = opencl.BoundKernel(queue, kernel, batch.global_size, batch.local_size, inline=inline)
        for index, value in batch.ints:
            bound.set_long(index, value)
        if batch.faults is not None:
            bound.set_buffer(batch.faults, self.fault)
        buffers = [(index, *self.place(slot)[:2]) for index, slot in batch.buffers]
        numbers = [(index, number, packer(dtype)) for index, number, dtype in batch.numbers]
        if batch.addresses:
            cells = [(position, number, packer(dtype)) for position, number, dtype in batch.cells]
            places = [(position, *self.place(slot)) for position, slot in batch.addresses]
            return TableLaunch(bound, numbers, batch.table, places, cells)
        table = self.runtime.memory.alloc(batch.table.nbytes)
        queue.write(table, 0, batch.table, fresh=True)
        bound.set_buffer(0, table)
        return Launch(bound, buffers, numbers)

    def _library_launch(
        self, call: KernelCall, where: dict[str, tuple], source: str, hook: Epilogue | None, inline: bool
    ) -> Launch:
        kernel = self._kernel(inline, source, call.kernel, call.options)
        sizes = call.global_size, call.local_size
        bound = opencl.BoundKernel(self.runtime.queue, kernel, *sizes, call.kernel, "", call.flops, call.nbytes, inline)
        buffers: list[Any] = []
        index = 0
        for arg in call.args:
            if isinstance(arg, (Operand, Scratch)):
                (kind, number, _), offset, _ = where[arg.name]
                buffers.append((index, kind, number))
                bound.set_long(index + 1, offset)
                index += 1
            elif isinstance(arg, Int):
                bound.set_long(index, arg.value)
            elif isinstance(arg, Float):
                bound.set_float(index, arg.value)
            elif isinstance(arg, Fault):
                bound.set_buffer(index, self.fault)
            index += 1
        numbers = self._arguments(bound, hook.args, buffers, index) if hook is not None else []
        return Launch(bound, buffers, numbers)

    def _arguments(self, bound: opencl.BoundKernel, args: Iterable[Any], buffers: list, index: int) -> list[tuple]:
        """Set generated arguments from number ``index`` on; buffers are added to ``buffers``, run-time numbers are
        returned."""
        numbers: list[tuple] = []
        for arg in args:
            if isinstance(arg, codegen.BufferArg):
                kind, number, offset = self.place(self.memory.slots[arg.val])
                buffers.append((index, kind, number))
                bound.set_long(index + 1, offset // arg.val.dtype.itemsize)
                index += 1
            elif isinstance(arg, codegen.IntArg):
                bound.set_long(index, arg.value)
            elif isinstance(arg, codegen.FaultArg):
                bound.set_buffer(index, self.fault)
            else:
                numbers.append((index, arg.number, packer(arg.dtype)))
            index += 1
        return numbers

    # -- merging ----------------------------------------------------------------------------------------------------
    def _merge(self) -> None:
        """One work-item runs all kernels of a tiny plan in turn, with every size a constant."""
        self.mergeable = False
        self.merged = True
        self._merged_plan = _Merged(self)
        self._lanes = {}
        self._fastest = float("inf")
        self.inline = self.runtime.inline_programs is not None
        self.steps = self._lane(self.inline)

    def _merged_launch(self, inline: bool) -> Launch:
        merged = self._merged_plan
        kernel = self._kernel(inline, self.source_of(merged.source), "eng_plan")
        bound = opencl.BoundKernel(self.runtime.queue, kernel, (1,), (1,), "eng_plan", inline=inline)
        for i in merged.faults:
            bound.set_buffer(i, self.fault)
        bound.label = " | ".join(describe.label(group) for group in self.groups)
        costs = [describe.cost(group) for group in self.groups]
        bound.flops, bound.nbytes = sum(c[0] for c in costs), sum(c[1] for c in costs)
        return Launch(bound, merged.buffers, merged.numbers)


class _Merged:
    """The program that runs the kernels of a plan one after another."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.params: list[str] = []
        self.buffers: list[tuple[int, int, int]] = []
        self.numbers: list[tuple] = []
        self.faults: list[int] = []
        self._pointers: dict[tuple[int, int], str] = {}
        self._numbers: dict[tuple[int, str], str] = {}
        functions, calls = [], []
        for i, made_ in enumerate(plan.generated):
            functions.append(self._function(i, made_))
            groups = made_.global_size[0]
            call = f"eng_part{i}({', '.join(self._actuals(made_))}"
            calls.append(f"  for (long g = 0; g < {groups}; g++) {call}, g);" if groups > 1 else f"  {call}, 0);")
        body = "\n".join(calls)
        self.source = (
            "\n".join(functions) + f"\nKATTR __kernel void eng_plan({', '.join(self.params)})\n{{\n{body}\n}}\n"
        )

    @staticmethod
    def _function(number: int, made_: codegen.Generated) -> str:
        """A kernel's text as a function of its work-group number, with known numbers as constants."""
        head, body = made_.source.split("\n{\n", 1)
        names = head[head.index("(") + 1 : -1].split(", ")
        formal, constants = [], []
        at = 0
        for arg in made_.args:
            if isinstance(arg, codegen.BufferArg):
                formal += names[at : at + 2]
                at += 1
            elif isinstance(arg, codegen.IntArg):
                constants.append(f"  const {names[at]} = {arg.value}L;\n")
            else:
                formal.append(names[at])
            at += 1
        body = body.replace("get_group_id(0)", "gid")
        return (
            f"static inline void eng_part{number}({', '.join([*formal, 'long gid'])})\n{{\n{''.join(constants)}{body}"
        )

    def _actuals(self, made_: codegen.Generated) -> list[str]:
        out = []
        for arg in made_.args:
            if isinstance(arg, codegen.BufferArg):
                kind, number, offset = self.plan.place(self.plan.memory.slots[arg.val])
                out += [self._pointer(kind, number, arg.val.dtype), f"{offset // arg.val.dtype.itemsize}L"]
            elif isinstance(arg, codegen.FaultArg):
                if not self.faults:
                    self.faults.append(len(self.params))
                    self.params.append("__global int* fault")
                out.append("fault")
            elif isinstance(arg, codegen.ScalarArg):
                out.append(self._number(arg))
        return out

    def _pointer(self, kind: int, number: int, dtype: dtypes.dtype) -> str:
        name = self._pointers.get((kind, number))
        if name is None:
            name = self._pointers[kind, number] = f"m{len(self._pointers)}"
            self.buffers.append((len(self.params), kind, number))
            self.params.append(f"__global char* {name}")
        return f"(__global {codegen.storage(dtype)}*){name}"

    def _number(self, arg: codegen.ScalarArg) -> str:
        kind = codegen.scalar_param(arg.dtype, self.plan.caps.fp64)
        name = self._numbers.get((arg.number, kind))
        if name is None:
            name = self._numbers[arg.number, kind] = f"s{len(self._numbers)}"
            self.numbers.append((len(self.params), arg.number, packer(arg.dtype)))
            self.params.append(f"{kind} {name}")
        return name


def packer(dtype: dtypes.dtype) -> Callable[[Any], bytes]:
    """Bytes of a run-time number as a kernel argument of ``dtype``'s parameter type."""
    if dtype.is_complex:
        pair = struct.Struct("dd" if dtype is dtypes.complex128 else "ff").pack
        return lambda v: pair(complex(v).real, complex(v).imag)
    if dtype is dtypes.float64:
        return struct.Struct("d").pack
    if dtype.is_floating_point:
        return _pack_float
    return _pack_integer


def _pack_float(value: float) -> bytes:
    return np.float32(value).tobytes()


def _pack_integer(value: int) -> bytes:
    value = int(value) & 0xFFFFFFFFFFFFFFFF
    return _pack_long(value - (1 << 64) if value >> 63 else value)


def lower_log(calls: list[tuple[Call, tuple[int, ...]]], leaves: list[Spec], runtime: opencl.Runtime) -> tuple:
    """Lower a canonical log: returns the builder and the value of each call (None for groups of several results).

    ``calls``: (call, positions of inputs); position p >= 0 is an earlier call, p < 0 is leaf ``-1 - p``.
    """
    b = Builder()
    if settings.fusion:
        b.parallel = _ROWS_A_UNIT * runtime.caps.compute_units
        b.longest = runtime.caps.longest_loop
    values: list[Any] = []
    number = 0
    for position, (call, inputs) in enumerate(calls):
        with _Attributed(position):
            if call.lower is None:  # one of several results
                values.append(values[inputs[0]][call.static])
                continue
            refs = []
            for at, seen in zip(inputs, call.specs):
                refs.append(see(b, values[at] if at >= 0 else _leaf(b, leaves, -1 - at), seen))
            scalars = [b.scalar(number + i, dtype) for i, dtype in enumerate(call.scalars)]
            number += len(call.scalars)
            first = len(b.vals)
            result = call.lower(b, refs, scalars, call)
            if not runtime.caps.fp64:
                refuse_double(call.name, [v.dtype for v in (*(r.val for r in refs), *b.vals[first:])], runtime.caps)
            if type(call.out) is tuple:
                values.append([_whole(b, r, o) for r, o in zip(result, call.out)])
            else:
                values.append(_whole(b, result, call.out))
            origin = (position, call.name)
            for val in b.vals[first:]:
                val.origin = origin
    return b, values


def refuse_double(name: str, used: Iterable[dtypes.dtype], caps: opencl.Capabilities) -> None:
    """Raise RuntimeError where an op needs float64 and the device has none."""
    for dtype in used:
        if (dtype is dtypes.float64 or dtype is dtypes.complex128) and not caps.fp64:
            raise RuntimeError(f"{name}: {dtype} is not supported on the device '{caps.name}', which has no fp64")


class _Attributed:
    """Tells which call of a log an error came from: ``failed_call`` on the exception."""

    def __init__(self, position: int) -> None:
        self.position = position

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            error.failed_call = self.position


def see(b: Builder, val: Val, seen: Spec) -> Ref:
    """A value as an operand of description ``seen``."""
    view = View(tuple(seen.shape), seen.stride, seen.offset)
    if val.dtype is not seen.dtype:
        return b.bitcast(b.ref(val, View((val.size,), (1,), 0)), seen.dtype).as_strided(*view)
    return b.ref(val, view)


def _leaf(b: Builder, leaves: list[Spec], number: int) -> Val:
    return b.input(number, leaves[number].numel, leaves[number].dtype)


def _whole(b: Builder, ref: Ref, out: Spec) -> Val:
    """The value behind a result as it will lie in memory: flat, in the order of the storage."""
    if ref.dtype is not out.dtype:
        raise TypeError(f"a lowering returned {ref.dtype} where {out.dtype} was declared")
    if ref.size != out.numel:
        raise ValueError(f"a lowering returned shape {ref.shape} where {tuple(out.shape)} was declared")
    return ref.contiguous().val
