// What the attention kernels of CPU devices share: register tiles, transposes, exponentials.
//
// Scores are kept transposed, [key][query]: a vector holds several queries of one key, so that maxima, sums and
// exponentials of a softmax row are elementwise over vectors, and keys and values are operands that are broadcast
// element by element and read where they lie, with any strides.
//
// Options: VW vector width, MR and NV the register tile (MR rows x NV vectors), POOL local memory in floats, MASK
// (1 bool, 2 float) when there is a mask.

#define CAT_(x, y) x##y
#define CAT(x, y) CAT_(x, y)
#define LANES (NV * VW)
typedef CAT(float, VW) AVT;                              // aligned: local panels
typedef CAT(float, VW) VT __attribute__((aligned(4)));   // unaligned: global memory
typedef CAT(int, VW) IVT;
typedef float8 V8 __attribute__((aligned(4)));
typedef uchar8 B8 __attribute__((aligned(1)));
#define MIN(x, y) ((x) < (y) ? (x) : (y))
#define UP(n, m) (((n) + (m) - 1) / (m) * (m))
#define LOG2E 1.44269504f
#define HIDDEN as_float(0xff800000)

#include "register_tile.h"
#define ZERO1(i, j) AVT ACC(i, j) = (AVT)(0);
#define ZERO(i) COLS(ZERO1, i)
#define LOAD_B(i, j) AVT b##j = *(__local const AVT *)(b + j * VW);
#define MULADD1(i, j) ACC(i, j) = t * b##j + ACC(i, j);
#define MULADD(i)                                                                                                      \
  {                                                                                                                    \
    AVT t = (AVT)(p##i[at]);                                                                                           \
    COLS(MULADD1, i)                                                                                                   \
  }
#define TILE_LOOP                                                                                                      \
  for (long k = 0, at = 0; k < depth; k++, at += step, b += ldb) {                                                     \
    COLS(LOAD_B, 0)                                                                                                    \
    ROWS(MULADD)                                                                                                       \
  }

#define GLOBAL_ROW(i) __global const float *p##i = a + MIN(i, valid - 1) * row;
#define START1(i, j) ACC(i, j) = *(__local const AVT *)(dst + i * ldd + j * VW) * *(__local const AVT *)(factor + j * VW);
#define START(i) COLS(START1, i)
#define PUT1(i, j) *(__local AVT *)(dst + i * ldd + j * VW) = ACC(i, j);
#define PUT(i) COLS(PUT1, i)

// dst[r][w] = start * dst[r][w] * factor[w] + sum over k < depth of a[r * row + k * step] * b[k][w]: MR rows, of which
// those from `valid` on get any content, by LANES columns.
static void tile(__local float *dst, long ldd, __global const float *a, long row, long step, long valid,
                 __local const float *b, long ldb, long depth, int start, __local const float *factor) {
  ROWS(GLOBAL_ROW)
  ROWS(ZERO)
  if (start) {
    ROWS(START)
  }
  TILE_LOOP
  ROWS(PUT)
}

// Loops over what is left of a vector: not worth the code of a vectorised form.
#ifdef __clang__
#define SHORT _Pragma("clang loop vectorize(disable) unroll(disable)")
#else
#define SHORT
#endif

// n: a multiple of VW.
static void fill(__local float *dst, float value, long n) {
  SHORT
  for (long i = 0; i < n; i += VW)
    *(__local AVT *)(dst + i) = (AVT)(value);
}

// 8 x 8 transpose of eight V8 in registers (three rounds of two-input shuffles). With vector literals the compiler would
// take the shuffles apart into single elements.
#ifdef __clang__
#define SHUFFLE(x, y, a, b, c, d, e, f, g, h) __builtin_shufflevector(x, y, a, b, c, d, e, f, g, h)
#else
#define SHUFFLE(x, y, a, b, c, d, e, f, g, h) shuffle2(x, y, (uint8)(a, b, c, d, e, f, g, h))
#endif
#define LO2(x, y) SHUFFLE(x, y, 0, 8, 1, 9, 4, 12, 5, 13)
#define HI2(x, y) SHUFFLE(x, y, 2, 10, 3, 11, 6, 14, 7, 15)
#define LO4(x, y) SHUFFLE(x, y, 0, 1, 8, 9, 4, 5, 12, 13)
#define HI4(x, y) SHUFFLE(x, y, 2, 3, 10, 11, 6, 7, 14, 15)
#define LO8(x, y) SHUFFLE(x, y, 0, 1, 2, 3, 8, 9, 10, 11)
#define HI8(x, y) SHUFFLE(x, y, 4, 5, 6, 7, 12, 13, 14, 15)
#define TRANSPOSE8                                                                                                     \
  {                                                                                                                    \
    V8 u0 = LO2(x0, x1), u1 = HI2(x0, x1), u2 = LO2(x2, x3), u3 = HI2(x2, x3);                                         \
    V8 u4 = LO2(x4, x5), u5 = HI2(x4, x5), u6 = LO2(x6, x7), u7 = HI2(x6, x7);                                         \
    V8 w0 = LO4(u0, u2), w1 = HI4(u0, u2), w2 = LO4(u1, u3), w3 = HI4(u1, u3);                                         \
    V8 w4 = LO4(u4, u6), w5 = HI4(u4, u6), w6 = LO4(u5, u7), w7 = HI4(u5, u7);                                         \
    x0 = LO8(w0, w4), x1 = LO8(w1, w5), x2 = LO8(w2, w6), x3 = LO8(w3, w7);                                            \
    x4 = HI8(w0, w4), x5 = HI8(w1, w5), x6 = HI8(w2, w6), x7 = HI8(w3, w7);                                            \
  }
#define EIGHT(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)

// dst[c][r] = src[r][c] * factor[r] for r < rows, zero for the lanes from there on. Rows of src are contiguous.
static void turn_in(__local float *dst, long ldd, __global const float *src, long ld, long rows, long lanes, long cols,
                    __local const float *factor) {
  long r = 0;
  for (; r + 8 <= rows; r += 8) {
    V8 f = *(__local const V8 *)(factor + r);
    __global const float *s = src + r * ld;
    __local float *t = dst + r;
    long c = 0;
    for (; c + 8 <= cols; c += 8, t += 8 * ldd) {
#define TURN_LOAD(i) V8 x##i = *(__global const V8 *)(s + i * ld + c);
#define TURN_PUT(i) *(__local V8 *)(t + i * ldd) = x##i * f;
      EIGHT(TURN_LOAD)
      TRANSPOSE8
      EIGHT(TURN_PUT)
    }
    SHORT
    for (; c < cols; c++, t += ldd)
      SHORT
      for (int i = 0; i < 8; i++)
        t[i] = s[i * ld + c] * factor[r + i];
  }
  SHORT
  for (; r < lanes; r++)
    SHORT
    for (long c = 0; c < cols; c++)
      dst[c * ldd + r] = r < rows ? src[r * ld + c] * factor[r] : 0.0f;
}

// dst[r][c] = src[c][r] * factor[r] for r < rows. Rows of dst are contiguous.
static void turn_out(__global float *dst, long ld, __local const float *src, long lds, long rows, long cols,
                     __local const float *factor) {
  long r = 0;
  for (; r + 8 <= rows; r += 8) {
    V8 f = *(__local const V8 *)(factor + r);
    __global float *d = dst + r * ld;
    __local const float *s = src + r;
    long c = 0;
    for (; c + 8 <= cols; c += 8, s += 8 * lds) {
#define OUT_LOAD(i) V8 x##i = *(__local const V8 *)(s + i * lds) * f;
#define OUT_PUT(i) *(__global V8 *)(d + i * ld + c) = x##i;
      EIGHT(OUT_LOAD)
      TRANSPOSE8
      EIGHT(OUT_PUT)
    }
    SHORT
    for (; c < cols; c++, s += lds)
      SHORT
      for (int i = 0; i < 8; i++)
        d[i * ld + c] = s[i] * factor[r + i];
  }
  SHORT
  for (; r < rows; r++)
    SHORT
    for (long c = 0; c < cols; c++)
      dst[r * ld + c] = src[c * lds + r] * factor[r];
}

// 2^x for x <= 126 or so: rounding to an integer by adding 1.5 * 2^23, whose low bits then are that integer, and a
// polynomial. Zero below 2^-126.
static AVT power_of_two(AVT x) {
  AVT t = x + 12582912.0f, r = x - (t - 12582912.0f);
  AVT p = 1.0f + r * (0.693147181f + r * (0.240226511f + r * (0.0555041096f + r * (0.00961803692f + r * 0.00133334302f))));
  IVT bits = CAT(as_int, VW)(p) + (CAT(as_int, VW)(t) << 23);
  return CAT(as_float, VW)(x < -126.0f ? (IVT)(0) : bits);
}

#ifdef MASK
#if MASK == 1
typedef uchar MT;
#define MASK_VALUE(x) ((x) ? 0.0f : HIDDEN)
#define MASK_LOAD8(p) as_float8(~(convert_int8(*(__global const B8 *)(p)) != 0) & (int8)(0xff800000))
#else
typedef float MT;
#define MASK_VALUE(x) ((x) * LOG2E)
#define MASK_LOAD8(p) (*(__global const V8 *)(p) * LOG2E)
#endif

// dst[j][i] = what the mask adds to the score of query i and key j, in powers of two.
static void turn_mask(__local float *dst, long ldd, __global const MT *mask, long row, long col, long rows, long lanes,
                      long keys) {
  if (row == 0) {
    SHORT
    for (long j = 0; j < keys; j++)
      fill(dst + j * ldd, MASK_VALUE(mask[j * col]), lanes);
    return;
  }
  long i = 0;
  if (col == 1)
    for (; i + 8 <= rows; i += 8) {
      __global const MT *s = mask + i * row;
      __local float *t = dst + i;
      long j = 0;
      for (; j + 8 <= keys; j += 8, t += 8 * ldd) {
#define MASK_IN(i) V8 x##i = MASK_LOAD8(s + i * row + j);
#define MASK_PUT(i) *(__local V8 *)(t + i * ldd) = x##i;
        EIGHT(MASK_IN)
        TRANSPOSE8
        EIGHT(MASK_PUT)
      }
      SHORT
      for (; j < keys; j++, t += ldd)
        SHORT
        for (int e = 0; e < 8; e++)
          t[e] = MASK_VALUE(s[e * row + j]);
    }
  SHORT
  for (; i < lanes; i++)
    SHORT
    for (long j = 0; j < keys; j++)
      dst[j * ldd + i] = MASK_VALUE(mask[MIN(i, rows - 1) * row + j * col]);
}
#endif

#if VW == 16
#define LANE (IVT)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#elif VW == 8
#define LANE (IVT)(0, 1, 2, 3, 4, 5, 6, 7)
#else
#define LANE (IVT)(0, 1, 2, 3)
#endif

// Hides the keys after each query: scores[j][i] = -inf where key j0 + j > query i0 + i.
static void hide_later(__local float *scores, long ld, long i0, long j0, long keys) {
  SHORT
  for (long j = i0 >= j0 ? i0 - j0 : 0; j < keys; j++) {
    const int late = (int)MIN(ld, j0 + j - i0);
    SHORT
    for (int w = 0; w < late; w += VW) {
      __local AVT *s = (__local AVT *)(scores + j * ld + w);
      *s = LANE < (IVT)(late - w) ? (AVT)(HIDDEN) : *s;
    }
  }
}
