from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest

import cl_kernels
from engine.errors import BuildError
from engine.opencl import BoundKernel, ProgramStore
from engine.settings import scratch_folder, settings

CODE = """
import sys
from engine.opencl import BoundKernel, default_runtime
import numpy as np
runtime = default_runtime()
for value in range(3):
    source = "KATTR __kernel void eng_set(__global int* a) { a[0] = %d; }" % (value + int(sys.argv[1]))
    buffer = runtime.memory.alloc(4)
    bound = BoundKernel(runtime.queue, runtime.programs.kernel(source, "eng_set"), (1,), (1,))
    bound.set_buffer(0, buffer)
    bound.enqueue()
    out = np.zeros(1, np.int32)
    runtime.queue.read(buffer, 0, out)
    assert out[0] == value + int(sys.argv[1]), out
print(runtime.programs.built, runtime.programs.loaded)
"""


def run(cache, number=0, **env):
    command = [sys.executable, "-c", CODE, str(number)]
    environ = {**os.environ, "ENGINE_CACHE_DIR": str(cache), **env}
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def counts(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return tuple(int(word) for word in out.split()), err


def entries(cache):
    return sorted(p for p in cache.glob("programs/??/*") if p.is_file())


def fresh_store(runtime):
    return ProgramStore(runtime.context, runtime.record.cl_device, runtime.caps, str(scratch_folder()))


def launch(runtime, store, source, name, nbytes=4096):
    buffer = runtime.memory.alloc(nbytes)
    runtime.queue.fill(buffer, b"\0", 0, nbytes)
    bound = BoundKernel(runtime.queue, store.kernel(source, name), (1,), (1,))
    bound.set_buffer(0, buffer)
    bound.enqueue()
    out = np.zeros(nbytes // 4, np.float32)
    runtime.queue.read(buffer, 0, out)
    return out


def test_kernels_of_one_program_are_separate_objects(runtime):
    source = "KATTR __kernel void eng_one(__global float* a) { a[0] = 1.0f; }"
    one, two = (runtime.programs.kernel(source, "eng_one") for _ in range(2))
    assert one is not two
    assert runtime.programs.program(source) is runtime.programs.program(source)
    assert runtime.programs.program(source, ("-DX=1",)) is not runtime.programs.program(source)


def test_options_reach_the_compiler(runtime):
    source = "KATTR __kernel void eng_opt(__global float* a) { a[0] = VALUE; }"
    store = fresh_store(runtime)
    built = store.build_many([(source, (f"-DVALUE={v}",)) for v in (1, 2)])
    assert len(built) == 2
    buffer = runtime.memory.alloc(4)
    for value in (1, 2):
        bound = BoundKernel(runtime.queue, store.kernel(source, "eng_opt", (f"-DVALUE={value}",)), (1,), (1,))
        bound.set_buffer(0, buffer)
        bound.enqueue()
        out = np.zeros(1, np.float32)
        runtime.queue.read(buffer, 0, out)
        assert out[0] == value


def test_debug_says_what_was_compiled(runtime, cache_dir, capfd):
    settings.debug = 1
    source = "KATTR __kernel void eng_debug(__global float* a) { a[0] = 1; }"
    store = fresh_store(runtime)
    launch(runtime, store, source, "eng_debug")
    store.save_pending()
    launch(runtime, fresh_store(runtime), source, "eng_debug")
    lines = capfd.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines if "eng_debug" in line] == ["compiled", "loaded"]


def test_packed_builds(runtime, cache_dir):
    sources = [f"KATTR __kernel void eng_pack{i}(__global float* a) {{ a[0] = {i}; }}" for i in range(4)]
    store = fresh_store(runtime)
    store.build_many([(s, ()) for s in sources], pack=True)
    assert store.built == 1
    assert [launch(runtime, store, s, f"eng_pack{i}")[0] for i, s in enumerate(sources)] == [0, 1, 2, 3]
    assert store.build_many([(sources[0], ()), (sources[3], ())], pack=True)[0] is store.program(sources[3])
    bad = "KATTR __kernel void eng_bad(__global float* a) { a[0] = nothing; }"
    good = "KATTR __kernel void eng_good(__global float* a) { a[0] = 5; }"
    with pytest.raises(BuildError, match="nothing"):
        store.build_many([(good, ()), (bad, ())], pack=True)
    assert launch(runtime, store, good, "eng_good")[0] == 5
    same = "KATTR __kernel void eng_pack0(__global float* a) { a[0] = 8; }"  # a name that is taken in the other source
    store.build_many([(same, ()), (sources[0] + " ", ())], pack=True)
    assert launch(runtime, store, same, "eng_pack0")[0] == 8


def test_build_error_shows_log_and_source(runtime, cache_dir):
    source = "\n".join([f"// line {i}" for i in range(1, 30)] + ["__kernel void eng_bad(__global float* a) {"])
    source += "\n  a[0] = undeclared_thing;\n}\n"
    with pytest.raises(BuildError) as caught:
        fresh_store(runtime).kernel(source, "eng_bad")
    error = caught.value
    assert "undeclared_thing" in error.log
    assert "undeclared_thing;" in str(error)
    assert "undeclared_thing" in error.source
    assert re.search(r"^> *31 \|", str(error), re.MULTILINE) or not re.search(r":31:", error.log)
    assert runtime.caps.name in str(error)


def test_unknown_kernel_name(runtime):
    with pytest.raises(BuildError, match="it has: eng_present"):
        runtime.programs.kernel("__kernel void eng_present(__global float* a) { a[0] = 0; }", "eng_absent")


def test_second_process_compiles_nothing(runtime, tmp_path):
    first, _ = counts(run(tmp_path))
    assert first == (3, 0)
    assert len(entries(tmp_path)) == 3
    second, _ = counts(run(tmp_path))
    assert second == (0, 3)
    third, _ = counts(run(tmp_path, 1))  # two of its programs are known
    assert third == (1, 2)


@pytest.mark.parametrize("damage", ["truncate", "garbage", "flip", "empty"])
def test_damaged_entries_are_rebuilt(runtime, tmp_path, damage):
    counts(run(tmp_path))
    for path in entries(tmp_path):
        data = bytearray(path.read_bytes())
        if damage == "truncate":
            data = data[: len(data) // 2]
        elif damage == "garbage":
            data = bytearray(b"not an entry at all")
        elif damage == "flip":
            data[-10] ^= 0xFF
        else:
            data = bytearray()
        path.write_bytes(data)
    assert counts(run(tmp_path))[0] == (3, 0)
    assert counts(run(tmp_path))[0] == (0, 3)


def test_an_entry_of_another_program_is_not_taken(runtime, tmp_path):
    counts(run(tmp_path))
    first, second, *_ = entries(tmp_path)
    first.write_bytes(second.read_bytes())
    assert counts(run(tmp_path))[0] == (1, 2)


def test_parallel_processes_share_the_cache(runtime, tmp_path):
    processes = [run(tmp_path, i % 2) for i in range(4)]
    for process in processes:
        counts(process)
    assert len(entries(tmp_path)) == 4
    assert not list(tmp_path.rglob(".tmp-*"))
    assert counts(run(tmp_path))[0] == (0, 3)


def test_unwritable_cache_warns_once(runtime, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    found, err = counts(run(blocked))
    assert found == (3, 0)
    assert err.count("RuntimeWarning") == 1
    assert "ENGINE_CACHE_DIR" in err


def test_cache_can_be_off(runtime, tmp_path):
    assert counts(run(tmp_path, ENGINE_CACHE="0"))[0] == (3, 0)
    assert entries(tmp_path) == []


def test_cache_stays_below_its_limit(runtime, cache_dir):
    store = fresh_store(runtime)
    for i in range(4):
        launch(runtime, store, f"KATTR __kernel void eng_lim(__global float* a) {{ a[0] = {i}.5f; }}", "eng_lim")
    assert store.save_pending() == 4
    sizes = [p.stat().st_size for p in entries(cache_dir)]
    settings.cache_limit = sum(sizes) - 1
    launch(runtime, store, "KATTR __kernel void eng_lim(__global float* a) { a[0] = 9.5f; }", "eng_lim")
    store.save_pending()
    assert sum(p.stat().st_size for p in entries(cache_dir)) <= settings.cache_limit


def test_new_local_sizes_are_added_to_the_entry(runtime, cache_dir):
    if not runtime.caps.is_pocl:
        pytest.skip("only PoCL compiles for each local size")
    source = "KATTR __kernel void eng_grow(__global float* a) { a[get_global_id(0)] = 1.0f; }"
    store = fresh_store(runtime)
    buffer = runtime.memory.alloc(4096)
    compiled = []
    for local in (1, 2):
        bound = BoundKernel(runtime.queue, store.kernel(source, "eng_grow"), (4,), (local,))
        bound.set_buffer(0, buffer)
        bound.enqueue()
        runtime.queue.finish()
        assert store.save_pending() == 1
        (key,) = store._by_key
        files = store._disk.load(key).files  # its intermediate code may be there or not
        compiled.append({name for name in files if name.endswith(".so")})
    assert len(compiled[0]) == 1
    assert len(compiled[1]) == 2 and compiled[0] < compiled[1]
    assert store.save_pending() == 0


# -- the prelude

UNARY = ["sqrt", "floor", "ceil", "rint", "trunc", "round", "fabs", "exp", "log"]
SCALAR = [
    "rsqrt",
    "cbrt",
    "exp2",
    "exp10",
    "expm1",
    "log2",
    "log10",
    "log1p",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "erf",
    "erfc",
    "lgamma",
    "tgamma",
    "sign",
]
BINARY = ["fmin", "fmax", "copysign", "pow", "atan2", "fmod", "hypot", "nextafter", "remainder", "fdim", "min", "max"]


def _math_source(real):
    lines = [f"{real} x = a[0] + 1.5f, r = 0;"]
    lines += [f"r += {f}(x);" for f in UNARY + SCALAR]
    lines += [f"r += {f}(x, ({real})2);" for f in BINARY]
    lines += ["r += fma(x, x, x) + mad(x, x, x) + clamp(x, x, x) + mix(x, x, x);"]
    lines += ["r += ldexp(x, 2) + pown(x, 2) + ilogb(x) + isnan(x) + isinf(x) + isfinite(x) + signbit(x);"]
    for n in (2, 4, 8, 16):
        lines += [f"{{ {real}{n} v = ({real}{n})(x);"]
        lines += [f"v += {f}(v);" for f in UNARY]
        lines += ["v += fmin(v, v) + fmax(v, v) + copysign(v, v) + fma(v, v, v) + mad(v, v, v);"]
        lines += [f"int{n} k = convert_int{n}(v); k = min(k, k) + max(k, k) + clamp(k, k, k);"]
        lines += [f"v += convert_{real}{n}(k); r += v.s0; }}"]
    body = "\n  ".join(lines)
    return f"KATTR __kernel void eng_math_{real}(__global float* a) {{\n  {body}\n  a[0] = (float)r; a[1] = 42;\n}}"


def _integer_source():
    lines = ["ulong r = 0;"]
    for t in ["char", "uchar", "short", "ushort", "int", "uint", "long", "ulong"]:
        lines.append(f"{{ {t} x = ({t})a[0]; r += min(x, x) + max(x, x) + clamp(x, x, x); }}")
    for t in ["int", "uint", "long", "ulong"]:
        lines.append(f"{{ {t} x = ({t})a[0]; r += mul_hi(x, x) + rotate(x, x) + clz(x) + popcount(x); }}")
    lines.append("r += abs((int)r) + abs((long)r);")
    body = "\n  ".join(lines)
    return f"KATTR __kernel void eng_integer(__global float* a) {{\n  {body}\n  a[0] = r; a[1] = 42;\n}}"


def _memory_source():
    lines = ["__local float t[64]; float p[64]; __local int ti[64];"]
    for n in (2, 4, 8, 16):
        lines += [f"vstore{n}(vload{n}(0, a), 0, t); vstore{n}(vload{n}(0, t), 0, p); vstore{n}(vload{n}(0, p), 0, a);"]
        lines += [f"vstore{n}(vload{n}(0, (__global int*)a), 0, ti);"]
    lines += ["__global half* h = (__global half*)a; __local half* g = (__local half*)t;"]
    for n in ("", 2, 4, 8, 16):
        lines += [f"vstore_half{n}(vload_half{n}(0, h), 0, g); vstore_half{n}_rte(vload_half{n}(0, g), 0, h);"]
    lines += [
        "mem_fence(CLK_LOCAL_MEM_FENCE); read_mem_fence(CLK_LOCAL_MEM_FENCE); write_mem_fence(CLK_GLOBAL_MEM_FENCE);"
    ]
    lines += ["barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);"]
    ids = ["group_id", "local_id", "global_id", "num_groups", "local_size", "global_size", "global_offset"]
    lines += ["size_t s = get_work_dim();"] + [f"s += get_{name}(0);" for name in ids]
    body = "\n  ".join(lines)
    return f"KATTR __kernel void eng_memory(__global float* a) {{\n  {body}\n  a[0] = s; a[1] = 42;\n}}"


def _atomic_source(types, prefix):
    names = ["add", "sub", "xchg", "min", "max", "and", "or", "xor"]
    lines = [f"__local {t} local_{t}[1];" for t in types]
    for t in types:
        lines.append(f"{{ __local {t}* q = local_{t}; q[0] = 0; __global {t}* p = (__global {t}*)a + 8;")
        for where in "pq":
            lines += [f"{prefix}{name}({where}, 1);" for name in names]
            lines += [f"{prefix}inc({where}); {prefix}dec({where}); {prefix}cmpxchg({where}, 1, 2);"]
        lines.append("}")
    body = "\n  ".join(lines)
    return f"KATTR __kernel void eng_atomic(__global float* a) {{\n  {body}\n  a[1] = 42;\n}}"


@pytest.mark.parametrize("what", ["float", "double", "integer", "memory", "atomic32", "atomic64"])
def test_prelude_declares_builtins_that_exist(runtime, cache_dir, what):
    caps = runtime.caps
    if (what == "double" and not caps.fp64) or (what == "atomic64" and not caps.int64_atomics):
        pytest.skip(f"no {what} on this device")
    source, name = {
        "float": lambda: (_math_source("float"), "eng_math_float"),
        "double": lambda: (_math_source("double"), "eng_math_double"),
        "integer": lambda: (_integer_source(), "eng_integer"),
        "memory": lambda: (_memory_source(), "eng_memory"),
        "atomic32": lambda: (_atomic_source(["int", "uint"], "atomic_"), "eng_atomic"),
        "atomic64": lambda: (_atomic_source(["long", "ulong"], "atom_"), "eng_atomic"),
    }[what]()
    store = fresh_store(runtime)
    out = launch(runtime, store, source, name)
    assert out[1] == 42
    assert store.program(source).fast == store.uses_fast_headers()


def test_unaligned_vectors(runtime):
    source = """KATTR __kernel void eng_unaligned(__global float* a) {
      for (int i = 0; i < 40; i++) a[i] = i;
      f8u v = *(__global const f8u*)(a + 3);
      *(__global f8u*)(a + 101) = v + 1.0f;
      *(__global f16u*)(a + 201) = *(__global const f16u*)(a + 5);
    }"""
    out = launch(runtime, runtime.programs, source, "eng_unaligned")
    np.testing.assert_array_equal(out[101:109], np.arange(4, 12))
    np.testing.assert_array_equal(out[201:217], np.arange(5, 21))


def test_undeclared_builtin_falls_back_to_the_header(runtime, cache_dir):
    source = "KATTR __kernel void eng_fallback(__global float* a) { a[0] = length((float4)(1.0f)); }"
    store = fresh_store(runtime)
    assert launch(runtime, store, source, "eng_fallback")[0] == 2.0
    assert not store.program(source).fast
    if runtime.caps.fast_headers:
        assert store.uses_fast_headers()
        assert store._disk.needs_header(next(k for k, v in store._disk._header.items() if v))
    store.save_pending()
    again = fresh_store(runtime)
    assert launch(runtime, again, source, "eng_fallback")[0] == 2.0
    assert again.built == 0 or not again.loaded


def test_headers_switch_off(runtime, cache_dir):
    settings.fast_headers = False
    store = fresh_store(runtime)
    source = "KATTR __kernel void eng_plain(__global float* a) { a[0] = sqrt(16.0f); }"
    assert launch(runtime, store, source, "eng_plain")[0] == 4.0
    assert not store.program(source).fast


def test_programs_build_without_warnings(runtime, cache_dir, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        launch(
            runtime, fresh_store(runtime), "KATTR __kernel void eng_w(__global float* a) { int u; a[0] = 1; }", "eng_w"
        )
    assert capfd.readouterr().err == ""


def test_kernel_sources_are_package_data():
    assert "prelude.h" in cl_kernels.names()
    assert "KATTR" in cl_kernels.source("prelude.h")
    with pytest.raises(FileNotFoundError, match=r"prelude\.h"):
        cl_kernels.source("absent.cl")
