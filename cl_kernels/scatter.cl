// Elements of src combined into the places of out that index names, duplicates in order of their position in src (on
// CPUs; on GPUs atomically, in any order). Options: T (element), C (arithmetic type), I (index), LOAD(x), SAVE(x),
// COMBINE(a, b), NEUTRAL; FILL: out starts as START everywhere, else it has its content; CHECK: indices out of range are
// reported and left out; WRAP: negative ones count from the end; SET: COMBINE is its second operand; ONE: rows have one
// element.

#if CHECK
ENG_FN long eng_place(long i, long rows, __global int* fault) {
#if WRAP
  i += i < 0 ? rows : 0;
#endif
  if (i >= 0 && i < rows) return i;
  fault[0] = 1;
  fault[1] = (int)i;
  fault[2] = (int)rows;
  return -1;
}
#else
#define eng_place(i, rows, fault) (i)
#endif

#if FILL
#define COVER(from, to, at)                                  \
  _Pragma("clang loop vectorize(assume_safety)")             \
  for (long f = (from); f < (to); f++) out[(at) + f] = SAVE(START);
#else
#define COVER(from, to, at) {}
#endif

#if ONE
#define WIDTH 1
#else
#define WIDTH width
#endif

#define COMBINE_ROW(to, from, begin, end)                    \
  _Pragma("clang loop vectorize(assume_safety)")             \
  for (long r = (begin); r < (end); r++) {                   \
    const C a = LOAD((to)[r]), b = LOAD((from)[r]);          \
    (to)[r] = SAVE(COMBINE(a, b));                           \
  }

// Rows of ``width``: a work-item owns a range of rows and of columns.
KATTR __kernel void eng_scatter_rows(__global T* out, long out_o, __global const I* index, long index_o,
                                     __global const T* src, long src_o, __global int* fault, long count, long width,
                                     long rows, long per_row, long column_blocks, long per_column) {
  const long block = get_group_id(0);
  const long row_block = block / column_blocks, column_block = block - row_block * column_blocks;
  const long low = row_block * per_row, high = low + per_row < rows ? low + per_row : rows;
  const long begin = column_block * per_column;
  const long end = begin + per_column < width ? begin + per_column : width;
#if FILL
  if (column_blocks == 1) {
    COVER(low * width, high * width, out_o)
  } else {
    for (long row = low; row < high; row++) COVER(begin, end, out_o + row * width)
  }
#endif
  for (long m = 0; m < count; m++) {
    const long row = eng_place((long)index[index_o + m], rows, fault);
    if (row < low || row >= high) continue;
    __global T* to = out + out_o + row * width;
    __global const T* from = src + src_o + m * width;
    COMBINE_ROW(to, from, begin, end)
  }
}

#if FILL
// The same by lists of what each row receives, so that a row is written while it is in cache. ``head``: a work-item's
// first position of each row; ``next``: the one after each position (both from 1, 0: none).
KATTR __kernel void eng_scatter_lists(__global T* out, long out_o, __global const I* index, long index_o,
                                      __global const T* src, long src_o, __global int* lists, long lists_o,
                                      __global int* fault, long count, long width, long rows, long per_column) {
  const long begin = (long)get_group_id(0) * per_column;
  const long end = begin + per_column < width ? begin + per_column : width;
  __global int* head = lists + lists_o + (long)get_group_id(0) * (rows + count);
  __global int* next = head + rows;
  for (long row = 0; row < rows; row++) head[row] = 0;
  for (long m = count - 1; m >= 0; m--) {
    const long row = eng_place((long)index[index_o + m], rows, fault);
    if (row < 0) continue;
    next[m] = head[row];
    head[row] = (int)m + 1;
  }
  for (long row = 0; row < rows; row++) {
    COVER(begin, end, out_o + row * width)
    for (int k = head[row]; k; k = next[k - 1]) {
      __global T* to = out + out_o + row * width;
      __global const T* from = src + src_o + (long)(k - 1) * width;
      COMBINE_ROW(to, from, begin, end)
    }
  }
}
#endif

// Short rows, more destinations than sources: a work-item goes over all sources and owns a range of rows. What is not
// its own goes, without a branch, to a spare place.
KATTR __kernel void eng_scatter_owned(__global T* out, long out_o, __global const I* index, long index_o,
                                      __global const T* src, long src_o, __global T* spare, long spare_o,
                                      __global int* fault, long count, long width, long rows, long per_row) {
  const long low = (long)get_group_id(0) * per_row, high = low + per_row < rows ? low + per_row : rows;
  __global T* own = spare + spare_o + (long)get_group_id(0) * 64 * width;
  COVER(low * width, high * width, out_o)
  for (long f = 0; f < 64 * width; f++) own[f] = SAVE((C)NEUTRAL);
  for (long m = 0; m < count; m++) {
    const long row = eng_place((long)index[index_o + m], rows, fault);
    __global T* to = row >= low && row < high ? out + out_o + row * WIDTH : own + (m & 63) * WIDTH;
    __global const T* from = src + src_o + m * WIDTH;
    for (long r = 0; r < WIDTH; r++) {
      const C a = LOAD(to[r]), b = LOAD(from[r]);
      to[r] = SAVE(COMBINE(a, b));
    }
  }
}

// Short rows, more sources than destinations: each work-item combines a part of the sources into a result of its own
// (the first into out itself); these are then combined in order.
KATTR __kernel void eng_scatter_parts(__global T* out, long out_o, __global const I* index, long index_o,
                                      __global const T* src, long src_o, __global T* partial, long partial_o,
                                      __global int* fault, long count, long width, long rows, long per_part) {
  const long part = get_group_id(0), first = part * per_part;
  const long last = first + per_part < count ? first + per_part : count;
  __global T* base = part ? partial + partial_o + (part - 1) * rows * width : out + out_o;
  if (part) {
    for (long f = 0; f < rows * width; f++) base[f] = SAVE((C)NEUTRAL);
  } else {
    COVER(0, rows * width, out_o)
  }
  for (long m = first; m < last; m++) {
    const long row = eng_place((long)index[index_o + m], rows, fault);
    if (row < 0) continue;
    __global const T* from = src + src_o + m * WIDTH;
    for (long r = 0; r < WIDTH; r++) {
      const C a = LOAD(base[row * WIDTH + r]), b = LOAD(from[r]);
      base[row * WIDTH + r] = SAVE(COMBINE(a, b));
    }
  }
}
KATTR __kernel void eng_scatter_merge(__global T* out, long out_o, __global const T* partial, long partial_o, long size,
                                      long parts, long block) {
  const long first = (long)get_group_id(0) * block, last = first + block < size ? first + block : size;
  for (long p = 0; p < parts - 1; p++) {
    __global T* to = out + out_o;
    __global const T* from = partial + partial_o + p * size;
    COMBINE_ROW(to, from, first, last)
  }
}

// Along the middle dimension: out[o][index[o][k][i]][i] for src (outer, n, inner). A work-item owns a range of (o, block
// of i), in which the neighbours along i never meet.
KATTR __kernel void eng_scatter_along(__global T* out, long out_o, __global const I* index, long index_o,
                                      __global const T* src, long src_o, __global int* fault, long n, long inner,
                                      long rows, long blocks, long per_block, long items, long per_item) {
  const long first = (long)get_group_id(0) * per_item, last = first + per_item < items ? first + per_item : items;
  for (long item = first; item < last; item++) {
    const long o = item / blocks, begin = (item - o * blocks) * per_block;
    const long end = begin + per_block < inner ? begin + per_block : inner;
    const long base = out_o + o * rows * inner;
    if (blocks == 1) {
      COVER(0, rows * inner, base)
    } else {
      for (long row = 0; row < rows; row++) COVER(begin, end, base + row * inner)
    }
    for (long k = 0; k < n; k++) {
      __global const I* at = index + index_o + (o * n + k) * inner;
      __global const T* from = src + src_o + (o * n + k) * inner;
      if (inner == 1) {
        const long row = eng_place((long)at[0], rows, fault);
        if (row < 0) continue;
        const C a = LOAD(out[base + row]), b = LOAD(from[0]);
        out[base + row] = SAVE(COMBINE(a, b));
        continue;
      }
      ulong worst = 0;
#pragma clang loop vectorize(assume_safety)
      for (long i = begin; i < end; i++) {
        long row = (long)at[i];
#if WRAP
        row += row < 0 ? rows : 0;
#endif
#if CHECK
        worst = worst > (ulong)row ? worst : (ulong)row;
        row = (ulong)row < (ulong)rows ? row : 0;
#endif
        const C a = LOAD(out[base + row * inner + i]), b = LOAD(from[i]);
        out[base + row * inner + i] = SAVE(COMBINE(a, b));
      }
      if (worst >= (ulong)rows) eng_place((long)worst, rows, fault);
    }
  }
}

// GPU: a work-item an element.
KATTR __kernel void eng_scatter_fill(__global T* out, long out_o, long size) {
#if FILL
  const long i = get_global_id(0);
  if (i < size) out[out_o + i] = SAVE(START);
#endif
}
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
KATTR __kernel void eng_scatter_atomic(__global T* out, long out_o, __global const I* index, long index_o,
                                       __global const T* src, long src_o, __global int* fault, long count, long width,
                                       long rows) {
  const long g = get_global_id(0);
  if (g >= count * width) return;
  const long m = g / width, r = g - m * width;
  const long row = eng_place((long)index[index_o + m], rows, fault);
  if (row < 0) return;
  const long e = out_o + row * width + r;
#if SET
  out[e] = src[src_o + g];
#elif SIZE == 4
  volatile __global uint* p = (volatile __global uint*)out + e;
  const C b = LOAD(src[src_o + g]);
  uint old = *p, seen;
  do {
    seen = old;
    const C a = LOAD(JOIN(as_, T)(seen));
    const T made = SAVE(COMBINE(a, b));
    old = atomic_cmpxchg(p, seen, as_uint(made));
  } while (old != seen);
#elif SIZE == 8 && defined(ENGINE_INT64_ATOMICS)
  volatile __global ulong* p = (volatile __global ulong*)out + e;
  const C b = LOAD(src[src_o + g]);
  ulong old = *p, seen;
  do {
    seen = old;
    const C a = LOAD(JOIN(as_, T)(seen));
    const T made = SAVE(COMBINE(a, b));
    old = atom_cmpxchg(p, seen, as_ulong(made));
  } while (old != seen);
#elif SIZE < 4
  volatile __global uint* p = (volatile __global uint*)out + e * SIZE / 4;
  const uint shift = (uint)(e * SIZE % 4) * 8, mask = ((1u << (SIZE * 8)) - 1) << shift;
  const C b = LOAD(src[src_o + g]);
  uint old = *p, seen;
  do {
    seen = old;
    const T before = (T)((seen & mask) >> shift);
    const C a = LOAD(before);
    const T made = SAVE(COMBINE(a, b));
    old = atomic_cmpxchg(p, seen, (seen & ~mask) | (((uint)made << shift) & mask));
  } while (old != seen);
#endif
}
