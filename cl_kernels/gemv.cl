// Matrix-vector products for CPU devices, one work-item per work-group: few rows or few columns of C.
//
// GEMV_DOT   eng_gemv_dot   the matrix is contiguous along k.
// GEMV_AXPY  eng_gemv_axpy  the matrix is contiguous along the outputs.
//
// Options: MV vectors at a time (1, 2 or 4), LX and LY elements of the local buffers for vectors and outputs; ST, CT,
// VW, NARROW, HALF as in gemm_common.h.

#include "gemm_common.h"

// MV vectors x of k elements meet a matrix w of `rows` outputs; y[v][r] is written at v * y_vs + r * y_rs. A group
// takes `chunk` outputs. Pieces of x are converted into local memory first. by_row: the vectors are rows of C and the
// outputs its columns (the other way round otherwise).
#if MV == 1
#define VECTORS(X, i) X(i, 0)
#elif MV == 2
#define VECTORS(X, i) X(i, 0) X(i, 1)
#elif MV == 4
#define VECTORS(X, i) X(i, 0) X(i, 1) X(i, 2) X(i, 3)
#endif
#define ACC(i, j) acc##i##_##j
#define KX (LX / MV)
#define FOUR(X) X(0) X(1) X(2) X(3)
#define VDECLARE1(i, v) AVT ACC(i, v) = (AVT)(0);
#define VDECLARE(i) VECTORS(VDECLARE1, i)

#ifdef NO_EPILOGUE
#define GEMV_EPILOGUE
#else
#define GEMV_EPILOGUE                                                                                                  \
  for (long l = 0, lines = by_row ? vectors : nr; l < lines; l++) {                                                    \
    EPILOGUE(out + l * (by_row ? y_vs : y_rs), z, (by_row ? l : r0 + l), (by_row ? r0 : 0L), (by_row ? nr : vectors)); \
  }
#endif

// xs[v][d] = x[v][k0 + d], zero for vectors and k beyond the end
static void load_x(__local CT *xs, __global const ST *x, long vectors, long kk, long x_vs, long x_ks) {
  for (long v = 0; v < MV; v++)
    for (long d = 0; d < kk; d++)
      xs[v * KX + d] = v < vectors ? to_ct(x[v * x_vs + d * x_ks]) : (CT)0;
}

static void store_y(__global ST *y, __local const CT *ys, long vectors, long rows, long y_vs, long y_rs) {
  for (long v = 0; v < vectors; v++)
    for (long r = 0; r < rows; r++)
      y[v * y_vs + r * y_rs] = from_ct(ys[v * (LY / MV) + r]);
}
#ifdef GEMV_DOT
#define AHEAD (24 * LINE) // elements between a load and what is prefetched
#define W_POINTER(i) __global const ST *w##i = w + (r + i < nr ? r + i : nr - 1) * w_rs + k0;
#define LOAD_W(i) AVT m##i = LOADV(w##i + d);
#define FETCH_W(i) TO_L1(w##i + d + AHEAD);
#define DOT1(i, v) ACC(i, v) = m##i * x##v + ACC(i, v);
#define DOT(i) VECTORS(DOT1, i)
#define LOAD_X(i, v) AVT x##v = *(__local const VT *)(xs + v * KX + d);
#define TAIL1(i, v) tail##i##_##v += to_ct(w##i[d]) * xs[v * KX + d];
#define TAIL(i) VECTORS(TAIL1, i)
#define DECLARE_TAIL1(i, v) CT tail##i##_##v = 0;
#define DECLARE_TAIL(i) VECTORS(DECLARE_TAIL1, i)
#define SUM1(i, v)                                                                                                     \
  if (r + i < nr && v < vectors)                                                                                       \
    ys[v * (LY / MV) + r + i] = (first ? (CT)0 : ys[v * (LY / MV) + r + i]) + tail##i##_##v + lanes(&ACC(i, v));
#define SUM(i) VECTORS(SUM1, i)

static CT lanes(const AVT *v) {
  const CT *e = (const CT *)v;
  CT sum = 0;
  for (int w = 0; w < VW; w++)
    sum += e[w];
  return sum;
}

// w[r][d]: k contiguous. Four rows at a time, so that four streams are read and x is loaded once for all.
__kernel KATTR void eng_gemv_dot(__global const ST *restrict w_, long w_offset, __global const ST *restrict x,
                                 long x_offset, __global ST *restrict y, long y_offset, long rows, long vectors, long k,
                                 long w_bs, long w_rs, long x_bs, long x_vs, long x_ks, long y_bs, long y_vs, long y_rs,
                                 long chunk, long by_row EPILOGUE_PARAMS) {
  __local AVT local_x[LX / VW];
  __local AVT local_y[LY / VW];
  __local CT *xs = (__local CT *)local_x;
  __local CT *ys = (__local CT *)local_y;
  long z = get_group_id(1), r0 = (long)get_group_id(0) * chunk, nr = MIN(chunk, rows - r0);
  __global const ST *w = w_ + w_offset + z * w_bs + r0 * w_rs;
  for (long k0 = 0; k0 < k || k0 == 0; k0 += KX) {
    long kk = MIN((long)KX, k - k0);
    int first = k0 == 0;
    load_x(xs, x + x_offset + z * x_bs + k0 * x_ks, vectors, kk, x_vs, x_ks);
    for (long r = 0; r < nr; r += 4) {
      FOUR(W_POINTER)
      FOUR(VDECLARE)
      FOUR(DECLARE_TAIL)
      long d = 0;
      for (; d + VW <= kk; d += VW) {
        VECTORS(LOAD_X, 0)
        FOUR(LOAD_W)
        FOUR(FETCH_W)
        FOUR(DOT)
      }
      for (; d < kk; d++) {
        FOUR(TAIL)
      }
      FOUR(SUM)
    }
  }
  __global ST *out = y + y_offset + z * y_bs + r0 * y_rs;
  store_y(out, ys, vectors, nr, y_vs, y_rs);
  GEMV_EPILOGUE
}
#endif // GEMV_DOT

#ifdef GEMV_AXPY
#if MV == 1
#define DEPTH 8
#define STEPS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#else
#define DEPTH 4
#define STEPS(X) FOUR(X)
#endif
#define BROADCAST1(i, v) AVT x##i##_##v = (AVT)(xs[v * KX + d + i]);
#define BROADCAST(i) VECTORS(BROADCAST1, i)
#define LOAD_Y(i, v) VT sum##v = *(__local VT *)(ys + v * (LY / MV) + r);
#define STORE_Y(i, v) *(__local VT *)(ys + v * (LY / MV) + r) = sum##v;
#define AXPY1(i, v) sum##v = x##i##_##v * m + sum##v;
#define AXPY(i)                                                                                                        \
  {                                                                                                                    \
    AVT m = LOADV(wd + i * w_ks + r);                                                                                  \
    VECTORS(AXPY1, i)                                                                                                  \
  }
#define SCALAR1(i, v) ys[v * (LY / MV) + r] += xs[v * KX + d + i] * to_ct(wd[i * w_ks + r]);
#define SCALAR(i) VECTORS(SCALAR1, i)

// w[d][r]: the outputs contiguous. DEPTH rows of w are added to the outputs at a time, so that as many long streams are
// read; the outputs stay in L1.
__kernel KATTR void eng_gemv_axpy(__global const ST *restrict w, long w_offset, __global const ST *restrict x,
                                  long x_offset, __global ST *restrict y, long y_offset, long rows, long vectors,
                                  long k, long w_bs, long w_ks, long x_bs, long x_vs, long x_ks, long y_bs, long y_vs,
                                  long y_rs, long chunk, long by_row EPILOGUE_PARAMS) {
  __local AVT local_x[LX / VW];
  __local AVT local_y[LY / VW];
  __local CT *xs = (__local CT *)local_x;
  __local CT *ys = (__local CT *)local_y;
  long z = get_group_id(1), r0 = (long)get_group_id(0) * chunk, nr = MIN(chunk, rows - r0);
  for (long v = 0; v < MV; v++)
    for (long r = 0; r < nr; r++)
      ys[v * (LY / MV) + r] = 0;
  for (long k0 = 0; k0 < k; k0 += KX) {
    long kk = MIN((long)KX, k - k0), d = 0;
    __global const ST *wd = w + w_offset + z * w_bs + r0 + k0 * w_ks;
    load_x(xs, x + x_offset + z * x_bs + k0 * x_ks, vectors, kk, x_vs, x_ks);
    for (; d + DEPTH <= kk; d += DEPTH, wd += DEPTH * w_ks) {
      STEPS(BROADCAST)
      long r = 0;
      for (; r + VW <= nr; r += VW) {
        VECTORS(LOAD_Y, 0)
        STEPS(AXPY)
        VECTORS(STORE_Y, 0)
      }
      for (; r < nr; r++) {
        STEPS(SCALAR)
      }
    }
    for (; d < kk; d++, wd += w_ks) {
      BROADCAST(0)
      long r = 0;
      for (; r + VW <= nr; r += VW) {
        VECTORS(LOAD_Y, 0)
        AXPY(0)
        VECTORS(STORE_Y, 0)
      }
      for (; r < nr; r++) {
        SCALAR(0)
      }
    }
  }
  __global ST *out = y + y_offset + z * y_bs + r0 * y_rs;
  store_y(out, ys, vectors, nr, y_vs, y_rs);
  GEMV_EPILOGUE
}
#endif // GEMV_AXPY
