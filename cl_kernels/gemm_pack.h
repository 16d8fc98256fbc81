// Packing of the operands of a blocked product into panels. More in gemm_block.cl.

// 8 x 8 transpose of eight V8 in registers (three rounds of two-input shuffles).
#define LO2(x, y) (V8)(x.s0, y.s0, x.s1, y.s1, x.s4, y.s4, x.s5, y.s5)
#define HI2(x, y) (V8)(x.s2, y.s2, x.s3, y.s3, x.s6, y.s6, x.s7, y.s7)
#define LO4(x, y) (V8)(x.s0, x.s1, y.s0, y.s1, x.s4, x.s5, y.s4, y.s5)
#define HI4(x, y) (V8)(x.s2, x.s3, y.s2, y.s3, x.s6, x.s7, y.s6, y.s7)
#define TRANSPOSE8(x0, x1, x2, x3, x4, x5, x6, x7)                                                                     \
  {                                                                                                                    \
    V8 u0 = LO2(x0, x1), u1 = HI2(x0, x1), u2 = LO2(x2, x3), u3 = HI2(x2, x3);                                         \
    V8 u4 = LO2(x4, x5), u5 = HI2(x4, x5), u6 = LO2(x6, x7), u7 = HI2(x6, x7);                                         \
    V8 w0 = LO4(u0, u2), w1 = HI4(u0, u2), w2 = LO4(u1, u3), w3 = HI4(u1, u3);                                         \
    V8 w4 = LO4(u4, u6), w5 = HI4(u4, u6), w6 = LO4(u5, u7), w7 = HI4(u5, u7);                                         \
    x0 = (V8)(w0.lo, w4.lo), x1 = (V8)(w1.lo, w5.lo), x2 = (V8)(w2.lo, w6.lo), x3 = (V8)(w3.lo, w7.lo);                \
    x4 = (V8)(w0.hi, w4.hi), x5 = (V8)(w1.hi, w5.hi), x6 = (V8)(w2.hi, w6.hi), x7 = (V8)(w3.hi, w7.hi);                \
  }

#define PART8(dst, v) *(__local V8 *)(dst) = v
#define PART6(dst, v) (*(__local V4 *)(dst) = (v).lo, *(__local V2 *)((dst) + 4) = (v).s45)
#define PART4(dst, v) *(__local V4 *)(dst) = (v).lo

#define ROW_POINTERS(src, w0, valid, sw)                                                                               \
  __global const ST *p0 = src + (w0 + 0 < valid ? w0 + 0 : valid - 1) * sw;                                            \
  __global const ST *p1 = src + (w0 + 1 < valid ? w0 + 1 : valid - 1) * sw;                                            \
  __global const ST *p2 = src + (w0 + 2 < valid ? w0 + 2 : valid - 1) * sw;                                            \
  __global const ST *p3 = src + (w0 + 3 < valid ? w0 + 3 : valid - 1) * sw;                                            \
  __global const ST *p4 = src + (w0 + 4 < valid ? w0 + 4 : valid - 1) * sw;                                            \
  __global const ST *p5 = src + (w0 + 5 < valid ? w0 + 5 : valid - 1) * sw;                                            \
  __global const ST *p6 = src + (w0 + 6 < valid ? w0 + 6 : valid - 1) * sw;                                            \
  __global const ST *p7 = src + (w0 + 7 < valid ? w0 + 7 : valid - 1) * sw;

// Eight steps of k of eight rows become eight pieces of a panel `width` wide.
#define TURN(dst, width, k, PART)                                                                                      \
  {                                                                                                                    \
    V8 x0 = LOAD8(p0 + k), x1 = LOAD8(p1 + k), x2 = LOAD8(p2 + k), x3 = LOAD8(p3 + k);                                 \
    V8 x4 = LOAD8(p4 + k), x5 = LOAD8(p5 + k), x6 = LOAD8(p6 + k), x7 = LOAD8(p7 + k);                                 \
    TRANSPOSE8(x0, x1, x2, x3, x4, x5, x6, x7)                                                                         \
    __local CT *d = (dst) + (k) * (width);                                                                             \
    PART(d, x0);                                                                                                       \
    PART(d + width, x1);                                                                                               \
    PART(d + 2 * width, x2);                                                                                           \
    PART(d + 3 * width, x3);                                                                                           \
    PART(d + 4 * width, x4);                                                                                           \
    PART(d + 5 * width, x5);                                                                                           \
    PART(d + 6 * width, x6);                                                                                           \
    PART(d + 7 * width, x7);                                                                                           \
  }
// dst[k][width] = src[w * sw + k * sk] for w < valid; the lanes beyond repeat the last one (they are never stored).
static void pack_strided(__local CT *dst, __global const ST *src, long width, long valid, long kk, long sw, long sk) {
  for (long k = 0; k < kk; k++)
    for (long w = 0; w < width; w++)
      dst[k * width + w] = to_ct(src[(w < valid ? w : valid - 1) * sw + k * sk]);
}

#if MR % 8 == 4
#define PART_REST PART4
#elif MR % 8 == 6
#define PART_REST PART6
#endif

// Packs up to MR rows of A into a panel, kk x MR.
static void pack_a(__local CT *dst, __global const ST *src, long valid, long kk, long sw, long sk) {
  long done = 0;
  if (sw == 1 && valid == MR) {
    for (; done < kk; done++)
      for (long w = 0; w < MR; w++)
        dst[done * MR + w] = to_ct(src[done * sk + w]);
  } else if (sk == 1) {
    done = kk & ~7L;
    for (long r = 0; r + 8 <= MR; r += 8) {
      ROW_POINTERS(src, r, valid, sw)
      for (long k = 0; k < done; k += 8)
        TURN(dst + r, MR, k, PART8)
    }
#ifdef PART_REST
    ROW_POINTERS(src, MR / 8 * 8, valid, sw)
    for (long k = 0; k < done; k += 8)
      TURN(dst + MR / 8 * 8, MR, k, PART_REST)
#endif
  }
  pack_strided(dst + done * MR, src + done * sk, MR, valid, kk - done, sw, sk);
}

// Packs columns of B into panels of NR, each kk x NR; what is in the columns beyond the last does not matter.
static void pack_b(__local CT *dst, __global const ST *src, long cols, long kk, long sw, long sk) {
  long whole = cols / NR * NR, done = 0;
  if (sw == 1) {
    for (long k = 0; k < kk; k++)
      for (long j = 0; j < whole; j += NR)
        for (long w = 0; w < NR; w += VW)
          *(__local AVT *)(dst + j * kk + k * NR + w) = LOADV(src + k * sk + j + w);
    for (long k = 0; whole < cols && k < kk; k++) {
      __local CT *d = dst + whole * kk + k * NR;
      for (long w = 0; w < cols - whole; w++)
        d[w] = to_ct(src[k * sk + whole + w]);
      for (long w = cols - whole; w < NR; w++)
        d[w] = 0;
    }
    return;
  }
  if (sk == 1) {
    done = kk & ~7L;
    for (long j = 0; j < cols; j += NR)
      for (long w = 0; w < NR; w += 8) {
        ROW_POINTERS(src, j + w, cols, sw)
        for (long k = 0; k < done; k += 8)
          TURN(dst + j * kk + w, NR, k, PART8)
      }
  }
  for (long j = 0; j < cols; j += NR)
    pack_strided(dst + j * kk + done * NR, src + j * sw + done * sk, NR, MIN(NR, cols - j), kk - done, sw, sk);
}
