// A random permutation of 0 .. n-1: each number goes into a bucket by the upper bits of its random word (Rao 1961,
// Sandelius 1962), then each bucket, which fits a cache, is shuffled (Fisher and Yates 1938). The result depends on the
// seed, the offset and n alone. ``key``: seed and offset; buckets: a power of two, 2^(32 - shift).

#define PIECE 512

KATTR __kernel void eng_permutation_count(__global uint* counts, long counts_o, __global const ulong* key, long key_o,
                                          long n, long part, long buckets, long shift) {
  const long g = get_group_id(0), first = g * part, last = first + part < n ? first + part : n;
  __global uint* mine = counts + counts_o + g * buckets;
  uint words[PIECE];
  for (long d = 0; d < buckets; d++) mine[d] = 0;
  for (long at = first; at < last; at += PIECE) {
    const long stop = at + PIECE < last ? at + PIECE : last;
    eng_philox_tiles(words, at, stop - at, key[key_o], key[key_o + 1]);
    for (long i = at; i < stop; i++) mine[words[i - at] >> shift]++;
  }
}

KATTR __kernel void eng_permutation_offsets(__global uint* counts, long counts_o, __global uint* starts, long starts_o,
                                            long parts, long buckets) {
  __global uint* at = counts + counts_o;
  uint total = 0;
  for (long d = 0; d < buckets; d++) {
    starts[starts_o + d] = total;
    for (long p = 0; p < parts; p++) {
      const uint c = at[p * buckets + d];
      at[p * buckets + d] = total;
      total += c;
    }
  }
  starts[starts_o + buckets] = total;
}

KATTR __kernel void eng_permutation_deal(__global uint* items, long items_o, __global uint* counts, long counts_o,
                                         __global const ulong* key, long key_o, long n, long part, long buckets,
                                         long shift) {
  const long g = get_group_id(0), first = g * part, last = first + part < n ? first + part : n;
  __global uint* mine = counts + counts_o + g * buckets;
  uint words[PIECE];
  for (long at = first; at < last; at += PIECE) {
    const long stop = at + PIECE < last ? at + PIECE : last;
    eng_philox_tiles(words, at, stop - at, key[key_o], key[key_o + 1]);
    for (long i = at; i < stop; i++) items[items_o + mine[words[i - at] >> shift]++] = (uint)i;
  }
}

// One bucket, of all numbers in order, if ``starts`` has not been made (buckets is 0).
KATTR __kernel void eng_permutation_shuffle(__global long* out, long out_o, __global uint* items, long items_o,
                                            __global const uint* starts, long starts_o, __global const ulong* key,
                                            long key_o, long n, long buckets, long block) {
  const long begin = (long)get_group_id(0) * block, count = buckets ? buckets : 1;
  const long end = begin + block < count ? begin + block : count;
  const ulong seed = key[key_o], offset = key[key_o + 1] + (ulong)((n + 63) / 64) * 16;
  uint words[PIECE + 64];
  for (long d = begin; d < end; d++) {
    const long first = buckets ? starts[starts_o + d] : 0, last = buckets ? starts[starts_o + d + 1] : n;
    __global uint* x = items + items_o;
    if (!buckets) {
      for (long i = 0; i < n; i++) x[i] = (uint)i;
    }
    for (long at = first; at < last; at += PIECE) {
      const long stop = at + PIECE < last ? at + PIECE : last, low = at / 64 * 64;
      eng_philox_tiles(words, low, stop - low, seed, offset);
      for (long i = at; i < stop; i++) {
        const long j = i + (long)(((ulong)words[i - low] * (ulong)(last - i)) >> 32);
        const uint t = x[j];
        x[j] = x[i];
        x[i] = t;
        out[out_o + i] = t;
      }
    }
  }
}
