// Sorting rows of a contiguous (rows, n) array, stably, and choosing elements by rank. Options: T (element), C (type
// read), LOAD(x), K (uint or ulong: the key), KEY(x) (key of a value, in order), BITS (of the key that can differ),
// DIGIT (bits a radix pass), DESCENDING. Keys put NaN after everything and make the two zeros equal.

typedef struct { K k; uint i; } Pair;
#define BUCKETS (1 << DIGIT)
#define PASSES ((BITS + DIGIT - 1) / DIGIT)

ENG_FN uint eng_key_f32(float x) {
  const uint u = as_uint(x);
  return x != x ? 0xffffffffu : x == 0 ? 0x80000000u : (u >> 31) ? ~u : u | 0x80000000u;
}
#ifdef ENGINE_FP64
ENG_FN ulong eng_key_f64(double x) {
  const ulong u = as_ulong(x), top = (ulong)1 << 63;
  return x != x ? ~(ulong)0 : x == 0 ? top : (u >> 63) ? ~u : u | top;
}
#endif
#if BITS == 64
#define MASK (~(K)0)
#else
#define MASK ((((K)1) << (BITS - 1) << 1) - 1)
#endif
#if DESCENDING
#define ORDER(x) ((K)(~(K)KEY(x)) & MASK)
#else
#define ORDER(x) ((K)KEY(x))
#endif
#define DIGIT_OF(key, pass) ((uint)((key) >> ((pass) * DIGIT)) & (BUCKETS - 1))

ENG_FN void eng_store(__global T* values, __global long* index, __global const T* in, __global const Pair* from, long n) {
  for (long i = 0; i < n; i++) {
    index[i] = from[i].i;
    values[i] = in[from[i].i];
  }
}

// Sorts from[0..n) by merging; returns 1 if the result lies in ``to``.
ENG_FN int eng_merge_sort(__global Pair* from, __global Pair* to, long n) {
  for (long s = 0; s < n; s += 16) {
    const long end = s + 16 < n ? s + 16 : n;
    for (long i = s + 1; i < end; i++) {
      const Pair p = from[i];
      long j = i;
      for (; j > s && p.k < from[j - 1].k; j--) from[j] = from[j - 1];
      from[j] = p;
    }
  }
  int swapped = 0;
  for (long width = 16; width < n; width *= 2) {
    for (long s = 0; s < n; s += 2 * width) {
      const long middle = s + width < n ? s + width : n, end = s + 2 * width < n ? s + 2 * width : n;
      long i = s, j = middle, o = s;
      while (i < middle && j < end) {
        const Pair a = from[i], b = from[j];
        const int right = b.k < a.k;
        to[o++] = right ? b : a;
        j += right;
        i += !right;
      }
      while (i < middle) to[o++] = from[i++];
      while (j < end) to[o++] = from[j++];
    }
    __global Pair* t = from;
    from = to;
    to = t;
    swapped ^= 1;
  }
  return swapped;
}

// Short rows: a work-item sorts ``block`` of them, one after another.
KATTR __kernel void eng_sort_merge(__global T* values, long values_o, __global long* index, long index_o,
                                   __global const T* in, long in_o, __global Pair* a, long a_o, __global Pair* b,
                                   long b_o, long rows, long n, long block) {
  const long g = get_group_id(0), first = g * block, last = first + block < rows ? first + block : rows;
  __global Pair* from = a + a_o + g * n;
  __global Pair* to = b + b_o + g * n;
  for (long row = first; row < last; row++) {
    __global const T* x = in + in_o + row * n;
    for (long i = 0; i < n; i++) {
      const C v = LOAD(x[i]);
      from[i].k = ORDER(v);
      from[i].i = (uint)i;
    }
    const int swapped = eng_merge_sort(from, to, n);
    eng_store(values + values_o + row * n, index + index_o + row * n, x, swapped ? to : from, n);
  }
}

// Many long rows: a work-item sorts whole rows by radix, least significant digit first.
KATTR __kernel void eng_sort_radix(__global T* values, long values_o, __global long* index, long index_o,
                                   __global const T* in, long in_o, __global Pair* a, long a_o, __global Pair* b,
                                   long b_o, long rows, long n, long block) {
  const long g = get_group_id(0), first = g * block, last = first + block < rows ? first + block : rows;
  uint counts[PASSES * BUCKETS];
  for (long row = first; row < last; row++) {
    __global const T* x = in + in_o + row * n;
    __global Pair* from = a + a_o + g * n;
    __global Pair* to = b + b_o + g * n;
    for (int i = 0; i < PASSES * BUCKETS; i++) counts[i] = 0;
    for (long i = 0; i < n; i++) {
      const C v = LOAD(x[i]);
      const K key = ORDER(v);
      from[i].k = key;
      from[i].i = (uint)i;
      for (int p = 0; p < PASSES; p++) counts[p * BUCKETS + DIGIT_OF(key, p)]++;
    }
    for (int p = 0; p < PASSES; p++) {
      uint* at = counts + p * BUCKETS;
      uint total = 0;
      int trivial = 0;
      for (int d = 0; d < BUCKETS; d++) {
        const uint c = at[d];
        trivial |= c == n;
        at[d] = total;
        total += c;
      }
      if (trivial) continue;
      for (long i = 0; i < n; i++) {
        const Pair q = from[i];
        to[at[DIGIT_OF(q.k, p)]++] = q;
      }
      __global Pair* t = from;
      from = to;
      to = t;
    }
    eng_store(values + values_o + row * n, index + index_o + row * n, x, from, n);
  }
}

// One long row by several work-items: count digits of a part, add up, move the part's elements; once a digit. ``vary``
// has, a part, the bits in which its keys differ from the row's first one: digits that do not vary are passed over.
KATTR __kernel void eng_radix_load(__global Pair* pairs, long pairs_o, __global K* vary, long vary_o,
                                   __global const T* in, long in_o, long n, long parts, long part) {
  const long g = get_group_id(0), row = g / parts, first = (g - row * parts) * part;
  const long last = first + part < n ? first + part : n;
  __global Pair* to = pairs + pairs_o + row * n;
  const C one = LOAD(in[in_o + row * n]);
  const K head = ORDER(one);
  K differ = 0;
  for (long i = first; i < last; i++) {
    const C v = LOAD(in[in_o + row * n + i]);
    const K key = ORDER(v);
    differ |= key ^ head;
    to[i].k = key;
    to[i].i = (uint)i;
  }
  vary[vary_o + g] = differ;
}
// Whether digit ``pass`` varies in a row; ``*odd``: whether an odd number of digits below it does.
ENG_FN int eng_radix_varies(__global const K* vary, long parts, long pass, int* odd) {
  K differ = 0;
  for (long p = 0; p < parts; p++) differ |= vary[p];
  *odd = 0;
  for (long p = 0; p < pass; p++) *odd ^= DIGIT_OF(differ, p) != 0;
  return pass < PASSES && DIGIT_OF(differ, pass) != 0;
}
KATTR __kernel void eng_radix_count(__global uint* counts, long counts_o, __global const Pair* a, long a_o,
                                    __global const Pair* b, long b_o, __global const K* vary, long vary_o, long n,
                                    long parts, long part, long pass) {
  const long g = get_group_id(0), row = g / parts, first = (g - row * parts) * part;
  const long last = first + part < n ? first + part : n;
  int odd;
  if (!eng_radix_varies(vary + vary_o + row * parts, parts, pass, &odd)) return;
  __global const Pair* from = (odd ? b + b_o : a + a_o) + row * n;
  uint mine[BUCKETS];
  for (int d = 0; d < BUCKETS; d++) mine[d] = 0;
  for (long i = first; i < last; i++) mine[DIGIT_OF(from[i].k, pass)]++;
  for (int d = 0; d < BUCKETS; d++) counts[counts_o + g * BUCKETS + d] = mine[d];
}
KATTR __kernel void eng_radix_offsets(__global uint* counts, long counts_o, __global const K* vary, long vary_o,
                                      long parts, long pass) {
  const long row = get_group_id(0);
  int odd;
  if (!eng_radix_varies(vary + vary_o + row * parts, parts, pass, &odd)) return;
  __global uint* at = counts + counts_o + row * parts * BUCKETS;
  uint total = 0;
  for (int d = 0; d < BUCKETS; d++) {
    for (long p = 0; p < parts; p++) {
      const uint c = at[p * BUCKETS + d];
      at[p * BUCKETS + d] = total;
      total += c;
    }
  }
}
KATTR __kernel void eng_radix_move(__global const uint* counts, long counts_o, __global Pair* a, long a_o,
                                   __global Pair* b, long b_o, __global const K* vary, long vary_o, long n, long parts,
                                   long part, long pass) {
  const long g = get_group_id(0), row = g / parts, first = (g - row * parts) * part;
  const long last = first + part < n ? first + part : n;
  int odd;
  if (!eng_radix_varies(vary + vary_o + row * parts, parts, pass, &odd)) return;
  __global const Pair* from = (odd ? b + b_o : a + a_o) + row * n;
  __global Pair* to = (odd ? a + a_o : b + b_o) + row * n;
  uint at[BUCKETS];
  for (int d = 0; d < BUCKETS; d++) at[d] = counts[counts_o + g * BUCKETS + d];
  for (long i = first; i < last; i++) {
    const Pair q = from[i];
    to[at[DIGIT_OF(q.k, pass)]++] = q;
  }
}
KATTR __kernel void eng_radix_store(__global T* values, long values_o, __global long* index, long index_o,
                                    __global const T* in, long in_o, __global const Pair* a, long a_o,
                                    __global const Pair* b, long b_o, __global const K* vary, long vary_o, long n,
                                    long parts, long part) {
  const long g = get_group_id(0), row = g / parts, first = (g - row * parts) * part;
  const long last = first + part < n ? first + part : n;
  int odd;
  eng_radix_varies(vary + vary_o + row * parts, parts, PASSES, &odd);
  __global const Pair* from = (odd ? b + b_o : a + a_o) + row * n;
  for (long i = first; i < last; i++) {
    const uint k = from[i].i;
    index[index_o + row * n + i] = k;
    values[values_o + row * n + i] = in[in_o + row * n + k];
  }
}

// GPU: bitonic sorting of rows padded to ``size`` (a power of two); ties are broken by position.
KATTR __kernel void eng_bitonic_load(__global Pair* pairs, long pairs_o, __global const T* in, long in_o, long n,
                                     long size) {
  const long g = get_global_id(0), row = g / size, i = g - row * size;
  Pair p;
  p.k = ~(K)0;
  p.i = (uint)i;
  if (i < n) {
    const C v = LOAD(in[in_o + row * n + i]);
    p.k = ORDER(v);
  }
  pairs[pairs_o + g] = p;
}
KATTR __kernel void eng_bitonic_step(__global Pair* pairs, long pairs_o, long size, long block, long stride) {
  const long g = get_global_id(0), pairs_a_row = size / 2, row = g / pairs_a_row, t = g - row * pairs_a_row;
  const long i = (t / stride) * stride * 2 + t % stride, j = i + stride;
  __global Pair* p = pairs + pairs_o + row * size;
  const Pair a = p[i], b = p[j];
  const int greater = a.k > b.k || (a.k == b.k && a.i > b.i), up = (i & block) == 0;
  if (greater == up) {
    p[i] = b;
    p[j] = a;
  }
}
KATTR __kernel void eng_bitonic_store(__global T* values, long values_o, __global long* index, long index_o,
                                      __global const T* in, long in_o, __global const Pair* pairs, long pairs_o, long n,
                                      long size) {
  const long g = get_global_id(0), row = g / n, i = g - row * n;
  const uint k = pairs[pairs_o + row * size + i].i;
  index[index_o + g] = k;
  values[values_o + g] = in[in_o + row * n + k];
}

// Keeps, of the pairs in ``c``, those that may be among the ``k`` first: most significant digit first. Pairs that
// certainly are go to ``sure``. Returns how many of the k are still wanted from the ``*left`` remaining in ``c``.
ENG_FN long eng_narrow(__global Pair* c, long* left, __global Pair* sure, long* found, long k, int pass) {
  uint counts[BUCKETS];
  for (; pass >= 0 && *left > k && k > 0; pass--) {
    for (int d = 0; d < BUCKETS; d++) counts[d] = 0;
    for (long i = 0; i < *left; i++) counts[DIGIT_OF(c[i].k, pass)]++;
    long before = 0;
    uint d = 0;
    while (before + counts[d] < k) before += counts[d++];
    long kept = 0;
    for (long i = 0; i < *left; i++) {
      const Pair p = c[i];
      const uint digit = DIGIT_OF(p.k, pass);
      if (digit < d && sure) sure[(*found)++] = p;
      if (digit == d) c[kept++] = p;
    }
    *left = kept;
    k -= before;
  }
  return k;
}

// Reduces the ``count`` pairs of ``c`` to the k first of them, by way of ``spare`` (k pairs).
ENG_FN void eng_keep(__global Pair* c, long count, __global Pair* spare, long k) {
  long left = count, found = 0;
  const long more = eng_narrow(c, &left, spare, &found, k, PASSES - 1);
  for (long i = 0; i < more; i++) spare[found++] = c[i];
  for (long i = 0; i < k; i++) c[i] = spare[i];
}

// The k-th (up to 16th) least of the least keys of LANES interleaved parts of a row.
#define LANES 32
ENG_FN K eng_topk_bound(__global const T* x, long n, long k) {
  K least[LANES], first[16];
  for (int w = 0; w < LANES; w++) {
    const C v = LOAD(x[w]);
    least[w] = ORDER(v);
  }
  for (long i = LANES; i + LANES <= n; i += LANES) {
#pragma clang loop vectorize(assume_safety)
    for (int w = 0; w < LANES; w++) {
      const C v = LOAD(x[i + w]);
      const K key = ORDER(v);
      least[w] = key < least[w] ? key : least[w];
    }
  }
  for (int w = 0; w < LANES; w++) {
    int j = w < k ? w : (int)k;
    for (; j > 0 && least[w] < first[j - 1]; j--) {
      if (j < k) first[j] = first[j - 1];
    }
    if (j < k) first[j] = least[w];
  }
  return first[k - 1];
}

// The first k of each row in order (k < n): values and positions (rows, k). Elements below the k-th so far go to a
// buffer, which is reduced to k when it is full; for small k it is a sorted list instead.
KATTR __kernel void eng_topk(__global T* values, long values_o, __global long* index, long index_o,
                             __global const T* in, long in_o, __global Pair* a, long a_o, __global Pair* b, long b_o,
                             long rows, long n, long k, long capacity, long sorted, long block) {
  const long g = get_group_id(0), first = g * block, last = first + block < rows ? first + block : rows;
  __global Pair* c = a + a_o + g * capacity;
  __global Pair* spare = b + b_o + g * capacity;
  const int list = k <= 16;
  for (long row = first; row < last; row++) {
    __global const T* x = in + in_o + row * n;
    long count = 0, skipped = 0;
    K bar = MASK;
    int full = 0;
    // A bound for long rows: of the least keys of LANES interleaved parts, the k-th (k different elements are as low).
    K limit = MASK;
    const int bounded = list && n >= 8 * LANES;
    if (bounded) limit = eng_topk_bound(x, n, k);
    for (long i = 0; i < n; i++) {
      if (bounded && i == skipped) {  // sixteen elements at a time that are not wanted
        int wanted = 0;
        while (skipped + 16 <= n && !wanted) {
#pragma clang loop vectorize(assume_safety)
          for (int w = 0; w < 16; w++) {
            const C v = LOAD(x[skipped + w]);
            wanted |= ORDER(v) <= limit;
          }
          skipped += 16;
        }
        i = wanted ? skipped - 16 : skipped;
        if (!wanted && skipped + 16 > n) skipped = n;
        if (i >= n) break;
      }
      const C v = LOAD(x[i]);
      const K key = ORDER(v);
      if (key > limit || (full && key >= bar)) continue;
      Pair p;
      p.k = key;
      p.i = (uint)i;
      if (list) {
        long j = count < k ? count++ : k - 1;
        for (; j > 0 && key < c[j - 1].k; j--) c[j] = c[j - 1];
        c[j] = p;
        full = count == k;
        bar = c[count - 1].k;
        limit = full ? bar : limit;
      } else {
        c[count++] = p;
        if (count == capacity) {
          eng_keep(c, count, spare, k);
          count = k;
          full = 1;
          bar = c[0].k;
          for (long j = 1; j < k; j++) bar = c[j].k > bar ? c[j].k : bar;
        }
      }
    }
    if (count > k) eng_keep(c, count, spare, k);
    const int swapped = sorted && !list ? eng_merge_sort(c, spare, k) : 0;
    eng_store(values + values_o + row * k, index + index_o + row * k, x, swapped ? spare : c, k);
  }
}

// The element of rank k of each row (MODE 0), the lower median (1: NaN if there is one, 2: without NaN).
KATTR __kernel void eng_rank(__global T* values, long values_o, __global long* index, long index_o,
                             __global const T* in, long in_o, __global Pair* a, long a_o, long rows, long n, long rank,
                             long mode, long block) {
  const long g = get_group_id(0), first = g * block, last = first + block < rows ? first + block : rows;
  __global Pair* c = a + a_o + g * n;
  uint counts[BUCKETS];
  for (long row = first; row < last; row++) {
    __global const T* x = in + in_o + row * n;
    for (int d = 0; d < BUCKETS; d++) counts[d] = 0;
    long nans = 0, k = rank + 1;
    int top = PASSES - 1;
#if BITS == 64  // digits that are the same everywhere need no pass
    const C start = LOAD(x[0]);
    const K one = ORDER(start);
    K varying = 0;
    for (long i = 0; i < n; i++) {
      const C v = LOAD(x[i]);
      varying |= ORDER(v) ^ one;
    }
    while (top > 0 && !DIGIT_OF(varying, top)) top--;
#endif
    for (long i = 0; i < n; i++) {
      const C v = LOAD(x[i]);
      nans += v != v;
      counts[DIGIT_OF(ORDER(v), top)]++;
    }
    if (mode == 1) k = nans ? n : (n - 1) / 2 + 1;
    if (mode == 2) k = nans == n ? n : (n - nans - 1) / 2 + 1;
    if (nans && (mode == 1 || nans == n)) k = n - nans + 1;
    long before = 0, left = 0, found = 0;
    uint d = 0;
    while (before + counts[d] < k) before += counts[d++];
    for (long i = 0; i < n; i++) {
      const C v = LOAD(x[i]);
      const K key = ORDER(v);
      c[left].k = key;
      c[left].i = (uint)i;
      left += DIGIT_OF(key, top) == d;
    }
    const long more = eng_narrow(c, &left, 0, &found, k - before, top - 1);
    long last_one = 0;  // the candidates left are either all wanted, or equal
    for (long i = 1; i < more; i++) last_one = c[i].k > c[last_one].k ? i : last_one;
    const uint at = c[last_one].i;
    index[index_o + row] = at;
    values[values_o + row] = x[at];
  }
}
