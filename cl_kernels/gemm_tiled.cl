// Matrix products on GPUs, and the sum of partial products. An option chooses the kernel:
//
// GEMM_TILED  eng_gemm_tiled  a work-group of LX x LY work-items stages slices of A and B in local memory.
// GEMM_SUM    eng_gemm_sum    adds the partial products of a k that was split over groups (on any device).
//
// Options: BK depth of a staged slice, LX and LY work-group size; more in gemm_common.h.
#include "gemm_common.h"

#ifdef GEMM_TILED
// The tile of C is LY * MR x LX * NR.
#define BM (LY * MR)
#define BN (LX * NR)
#define A_STRIDE (BM + 4) // the padding spreads the transposed writes over the banks
#define STAGE_B(i, j) VT b##j = *(__local const AVT *)(bs + k * BN + (j * LX + lx) * VW);
#define MULADD_LOCAL(i)                                                                                                \
  {                                                                                                                    \
    VT t = (VT)(as[k * A_STRIDE + ly * MR + i]);                                                                       \
    COLS(MULADD1, i)                                                                                                   \
  }
#define WRITE1(i, j)                                                                                                   \
  if (i0 + i < m && j0 + j * LX * VW < n) {                                                                            \
    long valid = MIN(VW, n - j0 - j * LX * VW);                                                                        \
    __global OT *ct = c + i * c_ld + j * LX * VW;                                                                      \
    AVT v = ACC(i, j);                                                                                                 \
    write_vector(ct, &v, valid);                                                                                       \
    EPILOGUE(ct, z, (i0 + i), (j0 + j * LX * VW), valid);                                                              \
  }
#define WRITE(i) COLS(WRITE1, i)

static void write_vector(__global OT *c, const AVT *v, long valid) {
  const CT *e = (const CT *)v;
  for (int w = 0; w < VW; w++)
    if (w < valid)
      c[w] = to_out(e[w]);
}

__kernel KATTR void eng_gemm_tiled(__global const ST *restrict a, long a_offset, __global const ST *restrict b,
                                   long b_offset, __global OT *restrict c, long c_offset, long m, long n, long k,
                                   long a_bs, long a_rs, long a_cs, long b_bs, long b_rs, long b_cs, long c_bs,
                                   long c_ld, long c_ss, long slice, long splits EPILOGUE_PARAMS) {
  __local CT as[BK * A_STRIDE];
  __local AVT bs_vectors[BK * BN / VW];
  __local CT *bs = (__local CT *)bs_vectors;
  int lid = get_local_id(0), lx = lid % LX, ly = lid / LX;
  // one grid dimension, since the others are short on some devices; neighbouring groups share rows of A
  long tiles_m = (m + BM - 1) / BM, tiles_n = (n + BN - 1) / BN, group = get_group_id(0);
  long m0 = group / tiles_n % tiles_m * BM, n0 = group % tiles_n * BN;
  long part = group / (tiles_n * tiles_m) % splits, z = group / (tiles_n * tiles_m) / splits;
  long k_begin = part * slice, k_end = MIN(k, k_begin + slice);
  a += a_offset + z * a_bs + m0 * a_rs;
  b += b_offset + z * b_bs + n0 * b_cs;
  ROWS(DECLARE)
  for (long k0 = k_begin; k0 < k_end; k0 += BK) {
    // neighbouring work-items read neighbouring elements, whichever dimension is contiguous
    for (int e = lid; e < BM * BK; e += LX * LY) {
      int r = a_cs == 1 ? e / BK : e % BM, d = a_cs == 1 ? e % BK : e / BM;
      CT v = 0;
      if (m0 + r < m && k0 + d < k_end)
        v = to_ct(a[r * a_rs + (k0 + d) * a_cs]);
      as[d * A_STRIDE + r] = v;
    }
    for (int e = lid; e < BN * BK; e += LX * LY) {
      int r = b_cs == 1 ? e % BN : e / BK, d = b_cs == 1 ? e / BN : e % BK;
      CT v = 0;
      if (n0 + r < n && k0 + d < k_end)
        v = to_ct(b[r * b_cs + (k0 + d) * b_rs]);
      bs[d * BN + r] = v;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int k = 0; k < BK; k++) {
      COLS(STAGE_B, 0)
      ROWS(MULADD_LOCAL)
    }
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  long i0 = m0 + ly * MR, j0 = n0 + lx * VW;
  c += c_offset + z * c_bs + part * c_ss + i0 * c_ld + j0;
  ROWS(WRITE)
}
#endif // GEMM_TILED

#ifdef GEMM_SUM
// c[z][i][j] = sum over s < splits of parts[s][z][i][j]; a work-item takes `rows` rows of one batch.
__kernel KATTR void eng_gemm_sum(__global const CT *restrict parts, long parts_offset, __global ST *restrict c,
                                 long c_offset, long m, long n, long splits, long part_stride, long c_bs, long c_ld,
                                 long rows EPILOGUE_PARAMS) {
  long z = get_global_id(1), begin = (long)get_global_id(0) * rows, end = MIN(m, begin + rows);
  for (long i = begin; i < end; i++) {
    __global const CT *p = parts + parts_offset + (z * m + i) * n;
    __global ST *line = c + c_offset + z * c_bs + i * c_ld;
    for (long j = 0; j < n; j++) {
      CT sum = 0;
      for (long s = 0; s < splits; s++)
        sum += p[s * part_stride + j];
      line[j] = from_ct(sum);
    }
    EPILOGUE(line, z, i, 0L, n);
  }
}
#endif // GEMM_SUM
