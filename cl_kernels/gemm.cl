// Matrix products C[batch] = A[batch] * B[batch]. One program holds one of these kernels, chosen by an option:
//
// GEMM_BLOCK  eng_gemm_block  CPU: a work-group is one work-item and computes an mc x nc block of C. For every slice of
//             kc values of k it packs one column panel of B (kc x NR, stays in L1) and, unless A can be read in place,
//             the mc x kc block of A (stays in L2), then runs the register tile MR x NR over all rows (Goto and van de
//             Geijn, "Anatomy of high-performance matrix multiplication", 2008).
// GEMM_SMALL  eng_gemm_small  CPU: small matrices, read in place.
// GEMM_TILED  eng_gemm_tiled  GPU: a work-group of LX x LY work-items stages slices of A and B in local memory.
// GEMM_SUM    eng_gemm_sum    adds the partial products of a k that was split over groups.
//
// Accumulators are named scalars made by macros: LLVM keeps an indexed private array in memory.
//
// Options: ST element type in memory, CT type of the arithmetic, VW vector width of CT, MR and NV (the register tile
// is MR x NR, NR = NV * VW), NARROW when ST is not CT, HALF (1 float16, 2 bfloat16) when ST holds 16-bit floats as
// ushort, PARTIAL to write CT instead of ST; the sizes of local buffers are named at each kernel.

#ifndef KATTR
#ifdef __clang__
#define KATTR __attribute__((flatten))
#else
#define KATTR
#endif
#endif
#ifndef EPILOGUE
#define EPILOGUE_PARAMS
#define EPILOGUE(c, batch, row, col0, ncols)
#define NO_EPILOGUE
#endif

#ifdef FP64
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#endif

#define CAT_(x, y) x##y
#define CAT(x, y) CAT_(x, y)
#define NR (NV * VW)
typedef CAT(CT, VW) VT __attribute__((aligned(sizeof(CT)))); // unaligned: memory need not be vector aligned
typedef CAT(CT, VW) AVT;                                     // aligned: packed panels
typedef CAT(CT, 8) V8 __attribute__((aligned(sizeof(CT))));
typedef CAT(CT, 4) V4 __attribute__((aligned(sizeof(CT))));
typedef CAT(CT, 2) V2 __attribute__((aligned(sizeof(CT))));

#if HALF == 1
// binary16 <-> binary32 in integer arithmetic: cl_khr_fp16 is not needed and the loops around it vectorise.
static float to_ct(ushort h) {
  uint magnitude = (uint)(h & 0x7fff);
  float finite = as_float(magnitude << 13) * 0x1p112f;
  uint bits = magnitude >= 0x7c00u ? (magnitude << 13) + 0x70000000u : as_uint(finite);
  return as_float(bits | ((uint)(h & 0x8000) << 16));
}
static ushort from_ct(float f) {
  uint bits = as_uint(f), sign = (bits >> 16) & 0x8000u, x = bits & 0x7fffffffu;
  uint normal = (x + 0xfffu + ((x >> 13) & 1u) - 0x38000000u) >> 13;
  uint denormal = as_uint(as_float(x) + 0.5f) - 0x3f000000u; // the addition rounds to multiples of 2^-24
  uint special = x > 0x7f800000u ? 0x7e00u : 0x7c00u;
  return (ushort)(sign | (x >= 0x477ff000u ? special : x < 0x38800000u ? denormal : normal));
}
#elif HALF == 2
static float to_ct(ushort h) { return as_float((uint)h << 16); }
static ushort from_ct(float f) {
  uint bits = as_uint(f);
  uint rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return (ushort)((bits & 0x7fffffffu) > 0x7f800000u ? (bits >> 16) | 0x40u : rounded);
}
#else
#define to_ct(x) ((CT)(x))
#define from_ct(x) ((ST)(x))
#endif

#ifdef PARTIAL
typedef CT OT;
#define to_out(x) (x)
#else
typedef ST OT;
#define to_out(x) from_ct(x)
#endif
#define MIN(x, y) ((x) < (y) ? (x) : (y))

// Register tile.
#if MR == 8
#define ROWS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#elif MR == 6
#define ROWS(X) X(0) X(1) X(2) X(3) X(4) X(5)
#elif MR == 4
#define ROWS(X) X(0) X(1) X(2) X(3)
#endif
#if NV == 1
#define COLS(X, i) X(i, 0)
#elif NV == 2
#define COLS(X, i) X(i, 0) X(i, 1)
#elif NV == 3
#define COLS(X, i) X(i, 0) X(i, 1) X(i, 2)
#elif NV == 4
#define COLS(X, i) X(i, 0) X(i, 1) X(i, 2) X(i, 3)
#endif
#define ACC(i, j) acc##i##_##j
#define DECLARE1(i, j) VT ACC(i, j) = (VT)(0);
#define DECLARE(i) COLS(DECLARE1, i)
#define MULADD1(i, j) ACC(i, j) = t * b##j + ACC(i, j);

#ifdef GEMM_BLOCK
// 8 x 8 transpose of eight V8 in registers (three rounds of two-input shuffles).
#define LO2(x, y) (V8)(x.s0, y.s0, x.s1, y.s1, x.s4, y.s4, x.s5, y.s5)
#define HI2(x, y) (V8)(x.s2, y.s2, x.s3, y.s3, x.s6, y.s6, x.s7, y.s7)
#define LO4(x, y) (V8)(x.s0, x.s1, y.s0, y.s1, x.s4, x.s5, y.s4, y.s5)
#define HI4(x, y) (V8)(x.s2, x.s3, y.s2, y.s3, x.s6, x.s7, y.s6, y.s7)
#define TRANSPOSE8(x0, x1, x2, x3, x4, x5, x6, x7)                                                                    \
  {                                                                                                                    \
    V8 u0 = LO2(x0, x1), u1 = HI2(x0, x1), u2 = LO2(x2, x3), u3 = HI2(x2, x3);                                         \
    V8 u4 = LO2(x4, x5), u5 = HI2(x4, x5), u6 = LO2(x6, x7), u7 = HI2(x6, x7);                                         \
    V8 w0 = LO4(u0, u2), w1 = HI4(u0, u2), w2 = LO4(u1, u3), w3 = HI4(u1, u3);                                         \
    V8 w4 = LO4(u4, u6), w5 = HI4(u4, u6), w6 = LO4(u5, u7), w7 = HI4(u5, u7);                                         \
    x0 = (V8)(w0.lo, w4.lo), x1 = (V8)(w1.lo, w5.lo), x2 = (V8)(w2.lo, w6.lo), x3 = (V8)(w3.lo, w7.lo);                \
    x4 = (V8)(w0.hi, w4.hi), x5 = (V8)(w1.hi, w5.hi), x6 = (V8)(w2.hi, w6.hi), x7 = (V8)(w3.hi, w7.hi);                \
  }

// PREFETCH: the compiler has __builtin_prefetch for the host's addresses (PoCL).
#ifdef PREFETCH
#define TO_L1(p) __builtin_prefetch((const void *)(size_t)(p), 1, 3)
#define TO_L2(p) __builtin_prefetch((const void *)(size_t)(p), 0, 2)
#else
#define TO_L1(p)
#define TO_L2(p)
#endif
#define LINE (64 / (long)sizeof(ST)) // elements in a cache line

#define COPY8(dst, src) *(__local V8 *)(dst) = *(__global const V8 *)(src)
#define COPY4(dst, src) *(__local V4 *)(dst) = *(__global const V4 *)(src)
#define COPY2(dst, src) *(__local V2 *)(dst) = *(__global const V2 *)(src)
#if MR == 8
#define COPY_MR(dst, src) COPY8(dst, src)
#elif MR == 6
#define COPY_MR(dst, src) (COPY4(dst, src), COPY2((dst) + 4, (src) + 4))
#elif MR == 4
#define COPY_MR(dst, src) COPY4(dst, src)
#endif
#if MR == 8
#define STORE_MR(dst, v) *(__local V8 *)(dst) = v
#elif MR == 6
#define STORE_MR(dst, v)                                                                                               \
  *(__local V4 *)(dst) = v.lo;                                                                                         \
  *(__local V2 *)((dst) + 4) = v.s45
#elif MR == 4
#define STORE_MR(dst, v) *(__local V4 *)(dst) = v.lo
#endif

#define ROW_POINTERS(src, w0, valid, sw)                                                                               \
  __global const ST *p0 = src + (w0 + 0 < valid ? w0 + 0 : valid - 1) * sw;                                            \
  __global const ST *p1 = src + (w0 + 1 < valid ? w0 + 1 : valid - 1) * sw;                                            \
  __global const ST *p2 = src + (w0 + 2 < valid ? w0 + 2 : valid - 1) * sw;                                            \
  __global const ST *p3 = src + (w0 + 3 < valid ? w0 + 3 : valid - 1) * sw;                                            \
  __global const ST *p4 = src + (w0 + 4 < valid ? w0 + 4 : valid - 1) * sw;                                            \
  __global const ST *p5 = src + (w0 + 5 < valid ? w0 + 5 : valid - 1) * sw;                                            \
  __global const ST *p6 = src + (w0 + 6 < valid ? w0 + 6 : valid - 1) * sw;                                            \
  __global const ST *p7 = src + (w0 + 7 < valid ? w0 + 7 : valid - 1) * sw;

#define LOAD_ROWS(k)                                                                                                   \
  V8 x0 = *(__global const V8 *)(p0 + k), x1 = *(__global const V8 *)(p1 + k);                                         \
  V8 x2 = *(__global const V8 *)(p2 + k), x3 = *(__global const V8 *)(p3 + k);                                         \
  V8 x4 = *(__global const V8 *)(p4 + k), x5 = *(__global const V8 *)(p5 + k);                                         \
  V8 x6 = *(__global const V8 *)(p6 + k), x7 = *(__global const V8 *)(p7 + k);                                         \
  TRANSPOSE8(x0, x1, x2, x3, x4, x5, x6, x7)

// dst[k][width] = src[w * sw + k * sk] for w < valid; the lanes beyond repeat the last one (they are never stored).
static void pack_strided(__local CT *dst, __global const ST *src, long width, long valid, long kk, long sw, long sk) {
  for (long k = 0; k < kk; k++)
    for (long w = 0; w < width; w++)
      dst[k * width + w] = to_ct(src[(w < valid ? w : valid - 1) * sw + k * sk]);
}

static void pack_a_panel(__local CT *dst, __global const ST *src, long valid, long kk, long sw, long sk) {
  long done = 0;
#ifndef NARROW
  if (sw == 1 && valid == MR) {
    for (; done < kk; done++)
      COPY_MR(dst + done * MR, src + done * sk);
  } else if (sk == 1) {
    ROW_POINTERS(src, 0, valid, sw)
    for (; done + 8 <= kk; done += 8) {
      __local CT *d = dst + done * MR;
      LOAD_ROWS(done)
      STORE_MR(d, x0);
      STORE_MR(d + MR, x1);
      STORE_MR(d + 2 * MR, x2);
      STORE_MR(d + 3 * MR, x3);
      STORE_MR(d + 4 * MR, x4);
      STORE_MR(d + 5 * MR, x5);
      STORE_MR(d + 6 * MR, x6);
      STORE_MR(d + 7 * MR, x7);
    }
  }
#endif
  pack_strided(dst + done * MR, src + done * sk, MR, valid, kk - done, sw, sk);
}

// Packs rows of A into panels of MR, each kk x MR.
static void pack_a(__local CT *dst, __global const ST *src, long rows, long kk, long sw, long sk) {
  long i = 0;
#ifndef NARROW
  // four panels at once use whole cache lines of a transposed A
  if (sw == 1)
    for (; i + 4 * MR <= rows; i += 4 * MR)
      for (long k = 0; k < kk; k++) {
        __local CT *d = dst + i * kk + k * MR;
        __global const ST *s = src + i + k * sk;
        COPY_MR(d, s);
        COPY_MR(d + kk * MR, s + MR);
        COPY_MR(d + 2 * kk * MR, s + 2 * MR);
        COPY_MR(d + 3 * kk * MR, s + 3 * MR);
      }
#endif
  for (; i < rows; i += MR)
    pack_a_panel(dst + i * kk, src + i * sw, MIN(MR, rows - i), kk, sw, sk);
}

static void pack_b(__local CT *dst, __global const ST *src, long valid, long kk, long sw, long sk) {
  if (sw == 1 && valid == NR) {
    for (long k = 0; k < kk; k++) {
#ifdef NARROW
      for (long w = 0; w < NR; w++)
        dst[k * NR + w] = to_ct(src[k * sk + w]);
#else
      for (long w = 0; w < NR; w += VW)
        *(__local AVT *)(dst + k * NR + w) = *(__global const VT *)(src + k * sk + w);
#endif
    }
    return;
  }
#ifndef NARROW
  if (sw == 1 && valid >= VW) {
    // the last vector of a row is moved back over the one before it
    for (long k = 0; k < kk; k++) {
      long w = 0;
      for (; w + VW <= valid; w += VW)
        *(__local AVT *)(dst + k * NR + w) = *(__global const VT *)(src + k * sk + w);
      for (long zero = w; zero < NR; zero += VW)
        *(__local AVT *)(dst + k * NR + zero) = (AVT)(0);
      if (w < valid)
        *(__local VT *)(dst + k * NR + valid - VW) = *(__global const VT *)(src + k * sk + valid - VW);
    }
    return;
  }
#endif
  long done = 0;
#ifndef NARROW
  if (sk == 1) {
    done = kk & ~7L;
    for (long w = 0; w < NR; w += 8) {
      ROW_POINTERS(src, w, valid, sw)
      for (long k = 0; k < done; k += 8) {
        __local CT *d = dst + k * NR + w;
        LOAD_ROWS(k)
        *(__local V8 *)(d) = x0;
        *(__local V8 *)(d + NR) = x1;
        *(__local V8 *)(d + 2 * NR) = x2;
        *(__local V8 *)(d + 3 * NR) = x3;
        *(__local V8 *)(d + 4 * NR) = x4;
        *(__local V8 *)(d + 5 * NR) = x5;
        *(__local V8 *)(d + 6 * NR) = x6;
        *(__local V8 *)(d + 7 * NR) = x7;
      }
    }
  }
#endif
  pack_strided(dst + done * NR, src + done * sk, NR, valid, kk - done, sw, sk);
}

#define LOAD_B(i, j) AVT b##j = *(__local const AVT *)(bp + j * VW);
#define MULADD_PANEL(i)                                                                                                \
  {                                                                                                                    \
    VT t = (VT)(ap[i]);                                                                                                \
    COLS(MULADD1, i)                                                                                                   \
  }
#define MULADD_ROWS(i)                                                                                                 \
  {                                                                                                                    \
    VT t = (VT)(a##i[k]);                                                                                              \
    COLS(MULADD1, i)                                                                                                   \
  }
#define A_POINTER(i) __global const CT *a##i = a + (i < rows ? i : rows - 1) * a_rs;
#define FETCH_NEXT(i, j) TO_L2(row + j * LINE);
#define FETCH_C(i, j) TO_L1(cf + j * LINE);
#define FETCH                                                                                                          \
  {                                                                                                                    \
    __global const ST *row = next;                                                                                     \
    for (long r = 0; r < share; r++, row += row_step) {                                                                \
      COLS(FETCH_NEXT, 0)                                                                                              \
    }                                                                                                                  \
    COLS(FETCH_C, 0)                                                                                                   \
    next += run_step;                                                                                                  \
    cf += c_rs;                                                                                                        \
  }
#define STORE1(i, j) *(CSPACE VT *)(c + i * c_rs + j * VW) = ACC(i, j);
#define STORE(i) COLS(STORE1, i)
#define ADD1(i, j) *(CSPACE VT *)(c + i * c_rs + j * VW) += ACC(i, j);
#define ADD(i) COLS(ADD1, i)
#define SPILL1(i, j) *(VT *)(tile + i * NR + j * VW) = ACC(i, j);
#define SPILL(i) COLS(SPILL1, i)

#ifdef NARROW
#define CSPACE __local
#else
#define CSPACE __global
#endif

// Writes (first != 0) or adds a register tile to c: whole tiles with unit column stride by vectors, others through a
// small private array.
#define FINISH_TILE                                                                                                    \
  if (rows == MR && cols == NR && c_cs == 1) {                                                                         \
    if (first) {                                                                                                       \
      ROWS(STORE)                                                                                                      \
    } else {                                                                                                           \
      ROWS(ADD)                                                                                                        \
    }                                                                                                                  \
  } else {                                                                                                             \
    AVT spill[MR * NV];                                                                                                \
    CT *tile = (CT *)spill;                                                                                            \
    ROWS(SPILL)                                                                                                        \
    store_part(c, tile, rows, cols, c_rs, c_cs, first);                                                                \
  }

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

// The k loops run in runs of RUN steps. Before each, a row of C and `share` rows of the next panel of B (next,
// row_step apart) are prefetched: little at a time, since a burst would hold up the loads of the tile.
#define RUN 32

static void tile_panel(__local const CT *ap, __local const CT *bp, long kk, CSPACE CT *c, long rows, long cols,
                       long c_rs, long c_cs, int first, __global const ST *next, long share, long row_step,
                       long run_step) {
  CSPACE const CT *cf = c;
  ROWS(DECLARE)
  for (long left = kk; left > 0; left -= RUN) {
    FETCH
    for (long k = MIN(left, RUN) >> 1; k > 0; k--) {
      {
        COLS(LOAD_B, 0)
        ROWS(MULADD_PANEL)
      }
      ap += MR;
      bp += NR;
      {
        COLS(LOAD_B, 0)
        ROWS(MULADD_PANEL)
      }
      ap += MR;
      bp += NR;
    }
  }
  if (kk & 1) {
    COLS(LOAD_B, 0)
    ROWS(MULADD_PANEL)
  }
  FINISH_TILE
}

#ifndef NARROW
static void tile_rows(__global const CT *a, long a_rs, __local const CT *bp, long kk, CSPACE CT *c, long rows,
                      long cols, long c_rs, long c_cs, int first, __global const ST *next, long share, long row_step,
                      long run_step) {
  CSPACE const CT *cf = c;
  ROWS(DECLARE)
  ROWS(A_POINTER)
  long k = 0;
  while (k < kk - 1) {
    FETCH
    long end = MIN(k + RUN, kk - 1);
    while (k < end) {
      {
        COLS(LOAD_B, 0)
        ROWS(MULADD_ROWS)
      }
      k++;
      bp += NR;
      {
        COLS(LOAD_B, 0)
        ROWS(MULADD_ROWS)
      }
      k++;
      bp += NR;
    }
  }
  if (k < kk) {
    COLS(LOAD_B, 0)
    ROWS(MULADD_ROWS)
  }
  FINISH_TILE
}
#endif

// LA, LB, LC: elements of the local buffers for A, B and C.
// Group (x, y, z): rows [x * mc, ...), columns [y * nc, ...), and z = slice of k + splits * group of `batches` batches.
// Slices of k are `slice` long and write their partial sums `c_ss` elements apart.
__kernel KATTR void eng_gemm_block(__global const ST *restrict a, long a_offset, __global const ST *restrict b,
                                   long b_offset, __global OT *restrict c, long c_offset, long batch, long m, long n,
                                   long k, long a_bs, long a_rs, long a_cs, long b_bs, long b_rs, long b_cs, long c_bs,
                                   long c_rs, long c_cs, long c_ss, long mc, long nc, long kc, long slice, long splits,
                                   long batches, long in_place, long swapped EPILOGUE_PARAMS) {
  __local AVT local_a[LA / VW];
  __local AVT local_b[LB / VW];
  __local CT *ap = (__local CT *)local_a;
  __local CT *bp = (__local CT *)local_b;
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
      if (!in_place)
        pack_a(ap, ab + k0 * a_cs, mb, kk, a_rs, a_cs);
      for (long j = 0; j < nb; j += NR) {
        long cols = MIN(NR, nb - j);
        pack_b(bp, bb + j * b_cs + k0 * b_rs, cols, kk, b_cs, b_rs);
        // every tile prefetches a part of the next panel: rows of k for contiguous columns, otherwise columns
        __global const ST *next = bb + (nb - j > NR ? j + NR : j) * b_cs + k0 * b_rs;
        long runs = (kk + RUN - 1) / RUN, tiles = (mb + MR - 1) / MR;
        long share = b_cs == 1 ? (kk + tiles * runs - 1) / (tiles * runs) : (NR + tiles - 1) / tiles;
        long row_step = b_cs == 1 ? b_rs : b_cs, run_step = b_cs == 1 ? share * b_rs : RUN;
        long tile_step = b_cs == 1 ? runs * run_step : share * b_cs;
        for (long i = 0; i < mb; i += MR) {
          long rows = MIN(MR, mb - i);
#ifdef NARROW
          tile_panel(ap + i * kk, bp, kk, acc + i * nc + j, rows, cols, nc, 1, first, next, share, row_step, run_step);
#else
          __global CT *ct = cb + i * c_rs + j * c_cs;
          if (in_place)
            tile_rows(ab + i * a_rs + k0, a_rs, bp, kk, ct, rows, cols, c_rs, c_cs, first, next, share, row_step,
                      run_step);
          else
            tile_panel(ap + i * kk, bp, kk, ct, rows, cols, c_rs, c_cs, first, next, share, row_step, run_step);
#endif
          next += tile_step;
        }
      }
      k0 += kk;
    } while (k0 < k_end);
#ifdef NARROW
    for (long i = 0; i < mb; i++)
      for (long j = 0; j < nb; j++)
        cb[i * c_rs + j * c_cs] = to_out(acc[i * nc + j]);
#endif
#ifndef NO_EPILOGUE
    long lines = swapped ? nb : mb, line0 = swapped ? j0 : i0, stride = swapped ? c_cs : c_rs;
    for (long l = 0; l < lines; l++) {
      EPILOGUE(cb + l * stride, z, (line0 + l), (swapped ? i0 : j0), (swapped ? mb : nb));
    }
#endif
  }
}
#endif // GEMM_BLOCK

#ifdef GEMM_SMALL
#define ROW(i) __global const ST *a##i = at + (i < rows ? i : rows - 1) * a_rs;
#define LOAD_GLOBAL(i, j) VT b##j = *(__global const VT *)(bp + j * VW);
#define MULADD_STRIDED(i)                                                                                              \
  {                                                                                                                    \
    VT t = (VT)(a##i[ka]);                                                                                             \
    COLS(MULADD1, i)                                                                                                   \
  }
#define STORE_ROW1(i, j) *(__global VT *)(ct + i * c_ld + j * VW) = ACC(i, j);
#define STORE_ROW(i)                                                                                                   \
  if (i < rows) {                                                                                                      \
    COLS(STORE_ROW1, i)                                                                                                \
  }

// Small matrices: A and B are read in place, k in one go. The columns of B are contiguous and n >= NR: the last panel
// is moved back to end with the matrix. A group takes mc rows of `batches` batches.
__kernel KATTR void eng_gemm_small(__global const ST *restrict a, long a_offset, __global const ST *restrict b,
                                   long b_offset, __global ST *restrict c, long c_offset, long batch, long m, long n,
                                   long k, long a_bs, long a_rs, long a_cs, long b_bs, long b_rs, long c_bs, long c_ld,
                                   long mc, long batches EPILOGUE_PARAMS) {
  long i0 = (long)get_group_id(0) * mc, mb = MIN(mc, m - i0);
  long z0 = (long)get_group_id(1) * batches, z_end = MIN(batch, z0 + batches);
  for (long z = z0; z < z_end; z++) {
    __global const ST *ab = a + a_offset + z * a_bs + i0 * a_rs;
    __global const ST *bb = b + b_offset + z * b_bs;
    __global ST *cb = c + c_offset + z * c_bs + i0 * c_ld;
    for (long j0 = 0; j0 < n; j0 += NR) {
      long j = MIN(j0, n - NR);
      for (long i = 0; i < mb; i += MR) {
        long rows = mb - i, ka = 0;
        __global const ST *at = ab + i * a_rs, *bp = bb + j;
        __global ST *ct = cb + i * c_ld + j;
        ROWS(DECLARE)
        ROWS(ROW)
        for (long d = k >> 1; d > 0; d--) {
          {
            COLS(LOAD_GLOBAL, 0)
            ROWS(MULADD_STRIDED)
          }
          ka += a_cs;
          bp += b_rs;
          {
            COLS(LOAD_GLOBAL, 0)
            ROWS(MULADD_STRIDED)
          }
          ka += a_cs;
          bp += b_rs;
        }
        if (k & 1) {
          COLS(LOAD_GLOBAL, 0)
          ROWS(MULADD_STRIDED)
        }
        ROWS(STORE_ROW)
      }
    }
#ifndef NO_EPILOGUE
    for (long i = 0; i < mb; i++) {
      EPILOGUE(cb + i * c_ld, z, (i0 + i), 0L, n);
    }
#endif
  }
}
#endif // GEMM_SMALL

#ifdef GEMM_TILED
// BK: depth of a staged slice. LX, LY: work-group size; the tile of C is LY * MR x LX * NR.
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
