// out[i]: how many elements of a sorted row are below values[i] (RIGHT: not above it). Options: T (element), C
// (arithmetic type), LOAD(x), RIGHT, SORTER (rows are sorted by way of an index), FLOAT (NaN sorts last).

KATTR __kernel void eng_search(__global long* out, long out_o, __global const T* seq, long seq_o,
                               __global const T* values, long values_o, __global const long* sorter, long sorter_o,
                               long n, long per_row, long count, long row_step, long block) {
  const long first = (long)get_group_id(0) * block;
  const long last = first + block < count ? first + block : count;
  for (long i = first; i < last; i++) {
    const long row = (i / per_row) * row_step;
    __global const T* s = seq + seq_o + row;
    const C v = LOAD(values[values_o + i]);
    long low = 0, high = n;
    while (low < high) {
      const long mid = (low + high) >> 1;
#if SORTER
      const C x = LOAD(s[sorter[sorter_o + row + mid]]);
#else
      const C x = LOAD(s[mid]);
#endif
#if RIGHT
      const int before = !(x > v);
#else
      const int before = !(x >= v);
#endif
#if FLOAT
#if RIGHT
      const int go = v != v ? 1 : (x == x && before);
#else
      const int go = v != v ? x == x : (x == x && before);
#endif
#else
      const int go = before;
#endif
      low = go ? mid + 1 : low;
      high = go ? high : mid;
    }
    out[out_o + i] = low;
  }
}
