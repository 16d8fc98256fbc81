// Scans along the middle dimension of contiguous (outer, n, inner) arrays. Options: T (element), C (type read), A (type
// of the accumulator), LOAD(x), SAVE(x), START, STEP(acc, x), JOIN(acc, acc) and REVERSE; KIND is 0 for a plain scan, 1
// for one that also keeps the position of the extreme (BETTER(x, acc)), 2 for the recurrence y = a y' + b.

#if KIND == 0
// Totals of blocks of a row, so that several work-items can scan one long row.
KATTR __kernel void eng_scan_totals(__global A* totals, long totals_o, __global const T* in, long in_o, long n,
                                    long blocks, long block) {
  const long g = get_group_id(0), row = g / blocks, part = g - row * blocks;
  const long first = part * block, last = first + block < n ? first + block : n;
  A acc = START;
  for (long i = first; i < last; i++) {
    const long at = REVERSE ? n - 1 - i : i;
    const C x = LOAD(in[in_o + row * n + at]);
    acc = STEP(acc, x);
  }
  totals[totals_o + g] = acc;
}

KATTR __kernel void eng_scan_row(__global T* out, long out_o, __global const T* in, long in_o,
                                 __global const A* totals, long totals_o, long n, long blocks, long block) {
  const long g = get_group_id(0), row = g / blocks, part = g - row * blocks;
  const long first = part * block, last = first + block < n ? first + block : n;
  A acc = START;
  for (long p = 0; p < part; p++) acc = JOIN(acc, totals[totals_o + row * blocks + p]);
  for (long i = first; i < last; i++) {
    const long at = row * n + (REVERSE ? n - 1 - i : i);
    const C x = LOAD(in[in_o + at]);
    acc = STEP(acc, x);
    out[out_o + at] = SAVE(acc);
  }
}

// Columns: a work-item scans WIDTH neighbouring columns together.
KATTR __kernel void eng_scan_columns(__global T* out, long out_o, __global const T* in, long in_o, long n, long inner,
                                     long strips) {
  const long g = get_group_id(0), outer = g / strips, strip = g - outer * strips;
  const long first = strip * WIDTH, count = first + WIDTH < inner ? WIDTH : inner - first;
  const long base = outer * n * inner + first;
  A acc[WIDTH];
  for (int w = 0; w < WIDTH; w++) acc[w] = START;
  for (long i = 0; i < n; i++) {
    const long at = base + (REVERSE ? n - 1 - i : i) * inner;
    if (count == WIDTH) {
      for (int w = 0; w < WIDTH; w++) {
        const C x = LOAD(in[in_o + at + w]);
        acc[w] = STEP(acc[w], x);
        out[out_o + at + w] = SAVE(acc[w]);
      }
    } else {
      for (int w = 0; w < count; w++) {
        const C x = LOAD(in[in_o + at + w]);
        acc[w] = STEP(acc[w], x);
        out[out_o + at + w] = SAVE(acc[w]);
      }
    }
  }
}
#elif KIND == 1
KATTR __kernel void eng_scan_extreme(__global T* out, long out_o, __global long* index, long index_o,
                                     __global const T* in, long in_o, long n, long inner, long count, long block) {
  const long first = (long)get_group_id(0) * block, last = first + block < count ? first + block : count;
  for (long line = first; line < last; line++) {
    const long outer = line / inner, base = outer * n * inner + (line - outer * inner);
    C acc = LOAD(in[in_o + base]);
    long where = 0;
    for (long i = 0; i < n; i++) {
      const C x = LOAD(in[in_o + base + i * inner]);
      const int better = BETTER(x, acc);
      acc = better ? x : acc;
      where = better ? i : where;
      out[out_o + base + i * inner] = SAVE(acc);
      index[index_o + base + i * inner] = where;
    }
  }
}
#else
KATTR __kernel void eng_recurrence(__global T* out, long out_o, __global const T* a, long a_o, __global const T* b,
                                   long b_o, long n, long inner, long count, long block) {
  const long first = (long)get_group_id(0) * block, last = first + block < count ? first + block : count;
  for (long line = first; line < last; line++) {
    const long outer = line / inner, base = outer * n * inner + (line - outer * inner);
    A y = 0;
    for (long i = 0; i < n; i++) {
      const long at = base + (REVERSE ? n - 1 - i : i) * inner;
      y = TIMES((A)LOAD(a[a_o + at]), y) + (A)LOAD(b[b_o + at]);
      out[out_o + at] = SAVE(y);
    }
  }
}
#endif
