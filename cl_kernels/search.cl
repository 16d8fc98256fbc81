// out[i]: how many elements of a sorted row are below values[i] (RIGHT: not above it). Options: T (element), C
// (arithmetic type), LOAD(x), RIGHT, SORTER (rows are sorted by way of an index), FLOAT (NaN sorts last).

// Whether the element x comes before the value v.
#if RIGHT
#define BEFORE_(x, v) (!((x) > (v)))
#else
#define BEFORE_(x, v) (!((x) >= (v)))
#endif
#if FLOAT && RIGHT
#define BEFORE(x, v) (((v) != (v)) | (((x) == (x)) & BEFORE_(x, v)))
#elif FLOAT
#define BEFORE(x, v) (((x) == (x)) & (((v) != (v)) | BEFORE_(x, v)))
#else
#define BEFORE(x, v) BEFORE_(x, v)
#endif
#define ABREAST 16

KATTR __kernel void eng_search(__global long* out, long out_o, __global const T* seq, long seq_o,
                               __global const T* values, long values_o, __global const long* sorter, long sorter_o,
                               long n, long per_row, long count, long row_step, long block) {
  const long first = (long)get_group_id(0) * block;
  const long last = first + block < count ? first + block : count;
  long top = 1;
  while (top * 2 <= n) top *= 2;
  long i = first;
  while (i < last) {
    const long line = i / per_row, row = line * row_step;
    const long stop = (line + 1) * per_row < last ? (line + 1) * per_row : last;
    __global const T* s = seq + seq_o + row;
#if !SORTER
    if (n > 0 && n < 0x40000000) {  // several values side by side: each step is a gather
      for (; i + ABREAST <= stop; i += ABREAST) {
        int at[ABREAST];
        for (int w = 0; w < ABREAST; w++) at[w] = 0;
        for (int step = (int)top; step; step >>= 1) {
#pragma clang loop vectorize(assume_safety)
          for (int w = 0; w < ABREAST; w++) {
            const int next = at[w] + step, inside = next <= (int)n;
            const C v = LOAD(values[values_o + i + w]), x = LOAD(s[(inside ? next : (int)n) - 1]);
            at[w] = (inside & BEFORE(x, v)) ? next : at[w];
          }
        }
        for (int w = 0; w < ABREAST; w++) out[out_o + i + w] = at[w];
      }
    }
#endif
    for (; i < stop; i++) {
      const C v = LOAD(values[values_o + i]);
      long at = 0;
      for (long step = top; step; step >>= 1) {
        if (at + step > n) continue;
#if SORTER
        const C x = LOAD(s[sorter[sorter_o + row + at + step - 1]]);
#else
        const C x = LOAD(s[at + step - 1]);
#endif
        at = BEFORE(x, v) ? at + step : at;
      }
      out[out_o + i] = at;
    }
  }
}
