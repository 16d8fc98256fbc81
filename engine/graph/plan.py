"""Plans: from the values of a log to launches that can be replayed with other buffers and numbers."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np

import cl_kernels

from .. import opencl
from ..errors import BuildError
from ..settings import settings
from . import codegen, describe, mathlib, nest
from .batch import batches, fits
from .batch_kernel import Batch, combine
from .epilogue import Epilogue, epilogue
from .fuse import Group, fuse
from .ir import Val
from .library.call import Fault, Float, Int, KernelCall, Operand, Scratch
from .memory_plan import MemoryPlan, Slot, nbytes
from .merge import Merged
from .native import Native
from .packs import Packs
from .steps import CopyStep, HostStep, Launch, TableLaunch, packer

_MERGE_AFTER = 2  # runs of a plan of tiny kernels before they become one program
_FEW = 3  # launches for which a tiny plan is not worth a program of its own
_MERGE_WORK = 60_000  # elements times instructions a launch must save to be worth giving up the other units
_INLINE_SECONDS = 40e-6  # waking the workers costs about 30 us, and they halve what lies above that
_TIMED = 6  # runs after merging that are timed to see whether the estimate holds
_CORE_FLOPS = 60e9  # one core's rates: small kernels reach a part of what large ones do
_CORE_BYTES = 20e9
_OPS_A_FLOP = 4  # generated code counts exp and its like as one


@cache
def library_source(name: str) -> str:
    """Text of a file of cl_kernels, with what it includes."""
    return cl_kernels.source(name)


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
        caps = self.caps
        addresses = caps.clang_cpu and self.runtime.memory.host_visible  # simulators check each pointer's buffer
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
        self._merged_plan = Merged(self)
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
