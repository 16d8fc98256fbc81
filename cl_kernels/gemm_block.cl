// Matrix products on CPUs: a work-group is one work-item and computes an mc x nc block of C (Goto and van de Geijn,
// "Anatomy of high-performance matrix multiplication", 2008). For every slice of kc values of k, the slice of B (kc x
// nc) is packed into panels of NR columns that stay in L2. Strips of MR rows of A, which stay in L1, then meet all
// panels one after another in the register tile MR x NR.
//
// Options: A_PLACE and B_PLACE: the operand is read where it lies (B: contiguous rows of at least NR elements) and not
// packed. LA, LB, LC: elements of the local buffers for packed A, packed B and, where C is narrower than the
// arithmetic, C. More in gemm_common.h.
#include "gemm_common.h"
#include "gemm_pack.h"

#ifdef NARROW
#define CSPACE __local
#else
#define CSPACE __global
#endif
#ifdef B_PLACE
#define BSPACE __global
#else
#define BSPACE __local
#endif

#define LOAD_B(i, j) AVT b##j = *(BSPACE const VT *)(bp + j * VW);
#ifdef A_PLACE
#define ASPACE __global
#define A_POINTER(i) __global const CT *a##i = a + (i < rows ? i : rows - 1) * a_rs;
#define A_AT(i) a##i[ka]
#else
#define ASPACE __local
#define A_POINTER(i)
#define A_AT(i) a[ka + i]
#endif
#define MULADD_ROW(i)                                                                                                  \
  {                                                                                                                    \
    VT t = (VT)(A_AT(i));                                                                                              \
    COLS(MULADD1, i)                                                                                                   \
  }
#define K_STEP                                                                                                         \
  {                                                                                                                    \
    COLS(LOAD_B, 0)                                                                                                    \
    ROWS(MULADD_ROW)                                                                                                   \
    ka += a_ks;                                                                                                        \
    bp += b_ks;                                                                                                        \
  }
#define FETCH_C(i, j) TO_L1(cf + j * LINE);
#define STORE1(i, j) *(CSPACE VT *)(c + i * c_rs + j * VW) = ACC(i, j);
#define STORE(i) COLS(STORE1, i)
#define ADD1(i, j) *(CSPACE VT *)(c + i * c_rs + j * VW) += ACC(i, j);
#define ADD(i) COLS(ADD1, i)
#define SPILL1(i, j) *(VT *)(spill + i * NR + j * VW) = ACC(i, j);
#define SPILL(i) COLS(SPILL1, i)

// Writes (first != 0) or adds a part of a register tile to c.
static void store_part(CSPACE CT *c, const CT *tile, long rows, long cols, long c_rs, long c_cs, int first) {
  if (c_cs == 1) {
    for (long i = 0; i < rows; i++, c += c_rs, tile += NR) {
      long j = 0;
      for (; j + VW <= cols; j += VW) {
        VT v = *(const VT *)(tile + j);
        *(CSPACE VT *)(c + j) = first ? v : *(CSPACE VT *)(c + j) + v;
      }
      for (; j < cols; j++)
        c[j] = first ? tile[j] : c[j] + tile[j];
    }
    return;
  }
  for (long j = 0; j < cols; j++)
    for (long i = 0; i < rows; i++)
      c[i * c_rs + j * c_cs] = first ? tile[i * NR + j] : c[i * c_rs + j * c_cs] + tile[i * NR + j];
}

// The loop over k goes in runs of RUN steps. Before each, a row of C and a piece of the next strip of A (`share` places
// row_step apart) are prefetched: little at a time, since a burst would hold up the loads of the tile. Element (i, k)
// of the strip lies at a + i * a_rs + k * a_ks (of a packed one at i + k * MR), row k of the panel at bp + k * b_ks.
#define RUN 32
static void tile(ASPACE const CT *a, long a_rs, long a_ks, BSPACE const CT *bp, long b_ks, long kk, CSPACE CT *c,
                 long rows, long cols, long c_rs, long c_cs, int first, __global const ST *next, long share,
                 long row_step, long run_step) {
  CSPACE const CT *cf = c;
  long ka = 0;
  ROWS(DECLARE)
  ROWS(A_POINTER)
  for (long left = kk; left > 0; left -= RUN) {
    __global const ST *line = next;
    for (long r = 0; r < share; r++, line += row_step) {
      TO_L2(line);
      TO_L2(line + LINE);
    }
    next += run_step;
    COLS(FETCH_C, 0)
    cf += c_rs;
    for (long k = MIN(left, RUN) >> 1; k > 0; k--) {
      K_STEP
      K_STEP
    }
  }
  if (kk & 1)
    K_STEP
  if (rows == MR && cols == NR && c_cs == 1) {
    if (first) {
      ROWS(STORE)
    } else {
      ROWS(ADD)
    }
  } else {
    AVT vectors[MR * NV];
    CT *spill = (CT *)vectors;
    ROWS(SPILL)
    store_part(c, spill, rows, cols, c_rs, c_cs, first);
  }
}

// Group (x, y, z): rows [x * mc, ...), columns [y * nc, ...), and z = slice of k + splits * group of `batches` batches.
// Splits of k are `slice` long and write their partial sums c_ss elements apart. swapped: the product is the transposed
// one, rows are columns of the caller's C.
__kernel KATTR void eng_gemm_block(__global const ST *restrict a, long a_offset, __global const ST *restrict b,
                                   long b_offset, __global OT *restrict c, long c_offset, long batch, long m, long n,
                                   long k, long a_bs, long a_rs, long a_cs, long b_bs, long b_rs, long b_cs, long c_bs,
                                   long c_rs, long c_cs, long c_ss, long mc, long nc, long kc, long slice, long splits,
                                   long batches, long swapped EPILOGUE_PARAMS) {
#ifndef A_PLACE
  __local AVT local_a[LA / VW];
  __local CT *ap = (__local CT *)local_a;
#endif
#ifndef B_PLACE
  __local AVT local_b[LB / VW];
  __local CT *bp = (__local CT *)local_b;
#endif
#ifdef NARROW
  __local AVT local_c[LC / VW];
  __local CT *acc = (__local CT *)local_c;
#endif
  long i0 = (long)get_group_id(0) * mc, j0 = (long)get_group_id(1) * nc;
  long part = (long)get_group_id(2) % splits, z0 = (long)get_group_id(2) / splits * batches;
  long k_begin = part * slice, k_end = MIN(k, k_begin + slice);
  long mb = MIN(mc, m - i0), nb = MIN(nc, n - j0), z_end = MIN(batch, z0 + batches);
  for (long z = z0; z < z_end; z++) {
    __global const ST *ab = a + a_offset + z * a_bs + i0 * a_rs;
    __global const ST *bb = b + b_offset + z * b_bs + j0 * b_cs;
    __global OT *cb = c + c_offset + z * c_bs + part * c_ss + i0 * c_rs + j0 * c_cs;
    long k0 = k_begin;
    do { // at least once: k == 0 gives zeros
      long kk = MIN(kc, k_end - k0);
      int first = k0 == k_begin;
#ifndef B_PLACE
      pack_b(bp, bb + k0 * b_rs, nb, kk, b_cs, b_rs);
#endif
      // every tile prefetches a part of the next strip: of rows that are contiguous along k some rows, else some k
      long runs = (kk + RUN - 1) / RUN, panels = (nb + NR - 1) / NR;
      long share = a_cs == 1 ? (MR + panels - 1) / panels : (kk + panels * runs - 1) / (panels * runs);
      long row_step = a_cs == 1 ? a_rs : a_cs, run_step = a_cs == 1 ? RUN : share * a_cs;
      long tile_step = a_cs == 1 ? share * a_rs : runs * run_step;
      for (long i = 0; i < mb; i += MR) {
        long rows = MIN(MR, mb - i);
        __global const ST *strip = ab + i * a_rs + k0 * a_cs;
        __global const ST *next = mb - i > MR ? strip + MR * a_rs : strip;
#ifdef A_PLACE
        __global const CT *at = strip;
#else
        pack_a(ap, strip, rows, kk, a_rs, a_cs);
        __local const CT *at = ap;
#endif
        for (long j = 0; j < nb; j += NR) {
          long cols = MIN(NR, nb - j);
#ifdef B_PLACE
          // the last panel is moved back to end with the block, so whole vectors of B can be read
          long back = NR - cols;
          __global const CT *bt = bb + j - back + k0 * b_rs;
          long b_ks = b_rs;
          cols += back;
#else
          long back = 0, b_ks = NR;
          __local const CT *bt = bp + j * kk;
#endif
#ifdef NARROW
          CSPACE CT *ct = acc + i * nc + j;
          long ct_rs = nc, ct_cs = 1;
#else
          CSPACE CT *ct = cb + i * c_rs + (j - back) * c_cs;
          long ct_rs = c_rs, ct_cs = c_cs;
#endif
#ifdef A_PLACE
          tile(at, a_rs, a_cs, bt, b_ks, kk, ct, rows, cols, ct_rs, ct_cs, first, next, share, row_step, run_step);
#else
          tile(at, 1, MR, bt, b_ks, kk, ct, rows, cols, ct_rs, ct_cs, first, next, share, row_step, run_step);
#endif
          next += tile_step;
        }
      }
      k0 += kk;
    } while (k0 < k_end);
#ifdef NARROW
    for (long i = 0; i < mb; i++) {
      __global OT *line = cb + i * c_rs;
      if (c_cs == 1)
        for (long j = 0; j < nb; j++)
          line[j] = to_out(acc[i * nc + j]);
      else
        for (long j = 0; j < nb; j++)
          line[j * c_cs] = to_out(acc[i * nc + j]);
    }
#endif
#ifndef NO_EPILOGUE
    long lines = swapped ? nb : mb, line0 = swapped ? j0 : i0, stride = swapped ? c_cs : c_rs;
    for (long l = 0; l < lines; l++) {
      EPILOGUE(cb + l * stride, z, (line0 + l), (swapped ? i0 : j0), (swapped ? mb : nb));
    }
#endif
  }
}
