// out[index[m]][r] = combine(out[index[m]][r], src[m][r]) for m in order. Options: T (element), C (arithmetic type),
// LOAD(x), SAVE(x), COMBINE(a, b). A work-item owns a range of destination rows (CPU), or each element is atomic (GPU).

KATTR __kernel void eng_scatter(__global T* out, long out_o, __global const long* index, long index_o,
                                __global const T* src, long src_o, long count, long width, long rows, long per_row,
                                long column_blocks, long per_column) {
  const long block = get_group_id(0);
  const long row_block = block / column_blocks, column_block = block - row_block * column_blocks;
  const long low = row_block * per_row, high = low + per_row < rows ? low + per_row : rows;
  const long begin = column_block * per_column;
  const long end = begin + per_column < width ? begin + per_column : width;
  for (long m = 0; m < count; m++) {
    const long row = index[index_o + m];
    if (row < low || row >= high) continue;
    __global T* to = out + out_o + row * width;
    __global const T* from = src + src_o + m * width;
    for (long r = begin; r < end; r++) {
      const C a = LOAD(to[r]), b = LOAD(from[r]);
      to[r] = SAVE(COMBINE(a, b));
    }
  }
}
