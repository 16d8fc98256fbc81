// Recurrent layers: all steps of a layer, or some, in one launch. The input's projection comes from a matrix product;
// a work-item owns rows (sequences) and columns (hidden units) and computes
//
//   FORWARD   gates = x[t] + bias + h[t-1] W^T, then the cell, for tiles of MR rows and all gates of NB * VW units;
//   BACKWARD  dh[t] = dy[t] + dgates[t+1] W, then the cell's derivative, for tiles of MR rows and NB * VW units;
//   PACK      copies weights into the panels that the tiles read: [panel][k][gate][unit of the panel].
//
// A work-item that owns all columns of its rows may run all steps; otherwise a launch is one step. Sequences may end at
// different steps (rows of step t start at off[t], longest sequences first), and a direction walks the steps backwards.
//
// Options: one of LSTM, GRU, TANH, RELU; CT, VW, MR, NB, SIGMOID(x) and TANHF(x); FLOATS if CT is
// float; PROJECTED for an LSTM whose state is
// projected; LANES on GPUs, where a work-item has one column and neighbours read neighbouring elements.

#ifdef PACK
#ifdef TURN
// 8 x 8 transpose of eight V8 in registers (three rounds of two-input shuffles).
#define LO2(x, y) (V8)(x.s0, y.s0, x.s1, y.s1, x.s4, y.s4, x.s5, y.s5)
#define HI2(x, y) (V8)(x.s2, y.s2, x.s3, y.s3, x.s6, y.s6, x.s7, y.s7)
#define LO4(x, y) (V8)(x.s0, x.s1, y.s0, y.s1, x.s4, x.s5, y.s4, y.s5)
#define HI4(x, y) (V8)(x.s2, x.s3, y.s2, y.s3, x.s6, x.s7, y.s6, y.s7)
#define TRANSPOSE8(x0, x1, x2, x3, x4, x5, x6, x7)                                                                     \
  const V8 a0 = LO2(x0, x1), a1 = HI2(x0, x1), a2 = LO2(x2, x3), a3 = HI2(x2, x3);                                     \
  const V8 a4 = LO2(x4, x5), a5 = HI2(x4, x5), a6 = LO2(x6, x7), a7 = HI2(x6, x7);                                     \
  const V8 b0 = LO4(a0, a2), b1 = HI4(a0, a2), b2 = LO4(a1, a3), b3 = HI4(a1, a3);                                     \
  const V8 b4 = LO4(a4, a6), b5 = HI4(a4, a6), b6 = LO4(a5, a7), b7 = HI4(a5, a7);                                     \
  x0 = (V8)(b0.lo, b4.lo), x1 = (V8)(b1.lo, b5.lo), x2 = (V8)(b2.lo, b6.lo), x3 = (V8)(b3.lo, b7.lo);                  \
  x4 = (V8)(b0.hi, b4.hi), x5 = (V8)(b1.hi, b5.hi), x6 = (V8)(b2.hi, b6.hi), x7 = (V8)(b3.hi, b7.hi);
#define ROW(i) *(__global const V8 *)(from + (u + i) * unit_stride + k)
#define PUT(i, x) *(__global V8 *)(at + i * gates * width) = x;
#endif

// Output unit c of gate g and inner position k lies at w[(g * units + c) * unit_stride + k * k_stride].
KATTR __kernel void eng_rnn_pack(__global const CT *w0, long w0_off, __global const CT *w1, long w1_off,
                                 __global CT *out, long out_off, long gates, long units, long kk, long unit_stride,
                                 long k_stride, long width, long panels, long blocks, long block, long items) {
  const long item = get_global_id(0);
  if (item >= items) return;
  const long direction = item / (panels * blocks), part = item - direction * panels * blocks;
  const long panel = part / blocks, k0 = (part - panel * blocks) * block, k1 = k0 + block < kk ? k0 + block : kk;
  __global const CT *w = direction ? w1 + w1_off : w0 + w0_off;
  __global CT *to = out + out_off + (direction * panels + panel) * kk * gates * width;
  const long u0 = panel * width, count = units - u0 < width ? units - u0 : width;
  for (long g = 0; g < gates; g++) {
    __global const CT *from = w + (g * units + u0) * unit_stride;
    if (unit_stride == 1) {
      for (long k = k0; k < k1; k++) {
        __global CT *row = to + (k * gates + g) * width;
        for (long u = 0; u < count; u++) row[u] = from[k * k_stride + u];
        for (long u = count; u < width; u++) row[u] = 0;
      }
    } else {
      long u = 0;
#ifdef TURN
      for (; u + 8 <= count; u += 8) {
        long k = k0;
        for (; k + 8 <= k1; k += 8) {
          V8 x0 = ROW(0), x1 = ROW(1), x2 = ROW(2), x3 = ROW(3), x4 = ROW(4), x5 = ROW(5), x6 = ROW(6), x7 = ROW(7);
          TRANSPOSE8(x0, x1, x2, x3, x4, x5, x6, x7)
          __global CT *at = to + (k * gates + g) * width + u;
          PUT(0, x0) PUT(1, x1) PUT(2, x2) PUT(3, x3) PUT(4, x4) PUT(5, x5) PUT(6, x6) PUT(7, x7)
        }
        for (; k < k1; k++)
          for (int i = 0; i < 8; i++) to[(k * gates + g) * width + u + i] = from[(u + i) * unit_stride + k * k_stride];
      }
#endif
      for (; u < count; u++)
        for (long k = k0; k < k1; k++) to[(k * gates + g) * width + u] = from[u * unit_stride + k * k_stride];
      for (; u < width; u++)
        for (long k = k0; k < k1; k++) to[(k * gates + g) * width + u] = 0;
    }
  }
}
#else
#define CAT_(x, y) x##y
#define CAT(x, y) CAT_(x, y)
#if VW == 1
typedef CT VT;
#else
typedef CAT(CT, VW) VT __attribute__((aligned(sizeof(CT)))); // unaligned: rows need not be vector aligned
#endif

#ifdef LSTM
#define GATES 4
#define KEPT 5 // input, forget, cell, output gate; cell state
#elif defined(GRU)
#define GATES 3
#define KEPT 4 // reset, update, new gate; the new gate's share of the state
#else
#define GATES 1
#define KEPT 0
#endif

#if MR == 1
#define ROWS(X) X(0)
#elif MR == 2
#define ROWS(X) X(0) X(1)
#elif MR == 3
#define ROWS(X) X(0) X(1) X(2)
#elif MR == 4
#define ROWS(X) X(0) X(1) X(2) X(3)
#elif MR == 6
#define ROWS(X) X(0) X(1) X(2) X(3) X(4) X(5)
#elif MR == 8
#define ROWS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#endif
#ifdef FORWARD
#define NV (GATES * NB) // vectors in a row of a tile
#else
#define NV NB
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

// Where vector v of step k of a panel lies: on CPUs panels of WIDTH units, on GPUs one panel of all units.
#define WIDTH (NB * VW)
#ifdef LANES
#define W_PANEL(p, kk, vectors, units) (p)
#define W_STEP(vectors, units) ((vectors) * (units))
#define W_VECTOR(v, units) ((v) * (units))
#define LAST_PANEL(units) (units)
#else
#define W_PANEL(p, kk, vectors, units) ((p) * (kk) * (vectors) * VW)
#define W_STEP(vectors, units) ((vectors) * VW)
#define W_VECTOR(v, units) ((v) * VW)
#define LAST_PANEL(units) (((units) + WIDTH - 1) / WIDTH)
#endif

#define ACC(i, j) acc##i##_##j
#define DECLARE1(i, j) VT ACC(i, j) = (VT)(0);
#define DECLARE(i) __global const CT *a##i = a[i]; COLS(DECLARE1, i)
#define LOAD_W(i, j) const VT w##j = *(__global const VT *)(w + W_VECTOR(j, units));
#define MULADD1(i, j) ACC(i, j) = t * w##j + ACC(i, j);
#define MULADD(i) { const VT t = (VT)(a##i[k]); COLS(MULADD1, i) }
#define SPILL1(i, j) *(VT *)(tile + (i * NV + j) * VW) = ACC(i, j);
#define SPILL(i) COLS(SPILL1, i)

// tile[MR][NV][VW] = rows a[MR] (of kk elements) times a panel.
static void eng_rnn_product(CT *tile, __global const CT **a, __global const CT *w, long kk, long units) {
  ROWS(DECLARE)
  long k = 0;
  while (k + 1 < kk) {
    {
      COLS(LOAD_W, 0)
      ROWS(MULADD)
    }
    k++;
    w += W_STEP(NV, units);
    {
      COLS(LOAD_W, 0)
      ROWS(MULADD)
    }
    k++;
    w += W_STEP(NV, units);
  }
  if (k < kk) {
    COLS(LOAD_W, 0)
    ROWS(MULADD)
  }
  ROWS(SPILL)
}

#if defined(PROJECTED) && defined(FORWARD)
// The same with one vector in a row (NB is 1).
#define DECLARE_ONE(i) __global const CT *a##i = a[i]; VT one##i = (VT)(0);
#define MULADD_ONE(i) one##i = (VT)(a##i[k]) * v + one##i;
#define SPILL_ONE(i) *(VT *)(tile + i * VW) = one##i;
static void eng_rnn_product_narrow(CT *tile, __global const CT **a, __global const CT *w, long kk, long units) {
  ROWS(DECLARE_ONE)
  for (long k = 0; k < kk; k++, w += W_STEP(1, units)) {
    const VT v = *(__global const VT *)w;
    ROWS(MULADD_ONE)
  }
  ROWS(SPILL_ONE)
}
#endif
static VT eng_rnn_get(__global const CT *p, int n) {
#if VW > 1
  if (n < VW) {
    CT v[VW];
    for (int l = 0; l < VW; l++) v[l] = l < n ? p[l] : (CT)0;
    return *(VT *)v;
  }
#endif
  return *(__global const VT *)p;
}

static void eng_rnn_put(__global CT *p, int n, VT x) {
#if VW > 1
  if (n < VW) {
    CT v[VW];
    *(VT *)v = x;
    for (int l = 0; l < n; l++) p[l] = v[l];
    return;
  }
#endif
  *(__global VT *)p = x;
}

#if defined(FLOATS) && VW > 1
// As eng_tanh_f32 and eng_sigmoid_f32, for vectors and without the cases that cannot occur: e^x = 2^n e^r.
typedef CAT(int, VW) IT;
#define AS_INT CAT(as_int, VW)
#define AS_REAL CAT(as_float, VW)
#define SPLIT                                                                                                          \
  const VT t = x * 1.44269504f + 12582912.0f, n = t - 12582912.0f;                                                     \
  const VT r = (x - n * 0.693145752f) - n * 1.42860677e-6f;                                                            \
  const VT p = r + r * r * (0.500000005f + r * (0.166666668f + r * (0.0416663421f + r * (0.00833327047f +              \
               r * (0.00139420462f + r * 0.000199156951f)))));                                                         \
  const IT k = AS_INT(t) - 0x4b400000;

static VT eng_rnn_sigmoid(VT y) {
  VT x = -y;
  x = x > (VT)(88.0f) ? (VT)(88.0f) : x;
  x = x < (VT)(-87.0f) ? (VT)(-87.0f) : x;
  SPLIT
  return (VT)(1.0f) / ((VT)(1.0f) + (p + 1.0f) * AS_REAL((k + 127) << 23));
}

static VT eng_rnn_tanh(VT y) {
  VT x = AS_REAL(AS_INT(y) & 0x7fffffff) * 2.0f;
  x = x > (VT)(40.0f) ? (VT)(40.0f) : x;
  SPLIT
  const VT scale = AS_REAL((k + 126) << 23), half_of = scale * p + (scale - 0.5f); // (e^x - 1) / 2
  return AS_REAL(AS_INT(half_of / (half_of + 1.0f)) | (AS_INT(y) & (int)0x80000000));
}
#else
#define LANEWISE(name, f)                                                                                              \
  static VT name(VT x) {                                                                                               \
    CT v[VW];                                                                                                          \
    *(VT *)v = x;                                                                                                      \
    for (int l = 0; l < VW; l++) v[l] = f(v[l]);                                                                       \
    return *(VT *)v;                                                                                                   \
  }
LANEWISE(eng_rnn_tanh, TANHF)
LANEWISE(eng_rnn_sigmoid, SIGMOID)
#endif

// What a work-item owns: rows [r0, r1) and panels [p0, p1) of a direction.
#define ITEM                                                                                                           \
  const long item = get_global_id(0);                                                                                  \
  if (item >= items) return;                                                                                           \
  const long d = item / (row_parts * panel_parts), part = item - d * row_parts * panel_parts;                          \
  const long r0 = part / panel_parts * row_part, p0 = part % panel_parts * panel_part;

#define OFFSET(t) (packed ? off[off_off + (t)] : (t) * batch)
#define COUNT(t) (packed ? off[off_off + (t) + 1] - off[off_off + (t)] : batch)
#define MIN(x, y) ((x) < (y) ? (x) : (y))
#define MAX(x, y) ((x) > (y) ? (x) : (y))

#ifdef FORWARD
// x: projected input, element (t, r) at t * x_ts + r * x_rs, or packed rows x_rs apart. h0, c0 (directions, batch, .)
// if has_state. y: rows y_rs apart, a direction after the other. kept: (directions, all, KEPT * hidden) if keep.
// m: states before projection, (directions, all or batch, hidden). hn, cn: last states; cn holds the running one.
// given: the state's projection was computed before and lies at bi (the biases are in the projections then).
// Steps [s0, s1). phases: 1 cells, 2 projection.
KATTR __kernel void eng_rnn_forward(__global const CT *x0, long x0_off, __global const CT *x1, long x1_off,
                                    __global const CT *w, long w_off,
                                    __global const CT *bi0, long bi0_off, __global const CT *bh0, long bh0_off,
                                    __global const CT *bi1, long bi1_off, __global const CT *bh1, long bh1_off,
                                    __global const CT *h0, long h0_off, __global const CT *c0, long c0_off,
                                    __global const long *off, long off_off, __global CT *y, long y_off,
                                    __global CT *hn, long hn_off, __global CT *cn, long cn_off,
                                    __global CT *kept, long kept_off, __global CT *m, long m_off,
                                    __global const CT *wp, long wp_off, long steps, long batch, long all, long hidden,
                                    long width, long x_ts, long x_rs, long y_rs, long has_bias, long has_state,
                                    long packed, long keep, long given, long s0, long s1, long phases, long items,
                                    long row_parts, long row_part, long panel_parts, long panel_part) {
  ITEM
  __global const CT *x = d ? x1 + x1_off : x0 + x0_off;
  __global const CT *bi = d ? bi1 + bi1_off : bi0 + bi0_off;
  __global const CT *bh = d ? bh1 + bh1_off : bh0 + bh0_off;
#ifdef LANES
  __global const CT *panel0 = w + w_off + d * hidden * width * GATES;
#else
  __global const CT *panel0 = w + w_off + d * LAST_PANEL(hidden) * width * GATES * WIDTH;
#endif
  __global CT *cell = cn + cn_off + d * batch * hidden, *last = hn + hn_off + d * batch * width;
  for (long s = s0; s < s1; s++) {
    const long t = d ? steps - 1 - s : s, before = d ? t + 1 : t - 1, after = d ? t - 1 : t + 1;
    const long now = OFFSET(t), count = COUNT(t);
    const long past = s > 0 ? OFFSET(before) : 0, past_count = s > 0 ? COUNT(before) : 0;
    const long next_count = s + 1 < steps ? COUNT(after) : 0;
    const long r1 = MIN(r0 + row_part, count);
    const long kk = given || (s == 0 && !has_state) ? 0 : width;
    const long p1 = MIN(p0 + panel_part, LAST_PANEL(hidden));
    if (phases & 1)
      for (long p = p0; p < p1; p++)
        for (long r = r0; r < r1; r += MR) {
          CT tile[MR * NV * VW];
          __global const CT *a[MR];
          for (int i = 0; i < MR; i++) {
            const long q = MIN(r + i, r1 - 1);
            a[i] = q < past_count || !has_state ? y + y_off + (past + MIN(q, past_count - 1)) * y_rs + d * width
                                                : h0 + h0_off + (d * batch + q) * width;
          }
          eng_rnn_product(tile, a, panel0 + W_PANEL(p, width, NV, hidden), kk, hidden);
          for (int b = 0; b < NB; b++) {
            const long u = p * WIDTH + b * VW;
            const int n = (int)MIN(hidden - u, VW);
            if (n <= 0) break;
            VT bias[GATES];
            for (int g = 0; g < GATES; g++) bias[g] = (VT)(0);
#ifdef GRU
            VT bias_h = (VT)(0);
#endif
            if (has_bias) {
              for (int g = 0; g < GATES; g++)
                bias[g] = eng_rnn_get(bi + g * hidden + u, n) + eng_rnn_get(bh + g * hidden + u, n);
#ifdef GRU
              bias[2] = eng_rnn_get(bi + 2 * hidden + u, n);
              bias_h = eng_rnn_get(bh + 2 * hidden + u, n);
#endif
            }
            const long rows = MIN(r1 - r, MR);
            for (long i = 0; i < rows; i++) {
              const long q = r + i;
              const int started = q < past_count;
              __global const CT *in = x + (packed ? now : t) * x_ts + q * x_rs + u;
              VT v[GATES], from_h[GATES];
              for (int g = 0; g < GATES; g++) {
                v[g] = eng_rnn_get(in + g * hidden, n) + bias[g];
                from_h[g] = *(VT *)(tile + ((i * GATES + g) * NB + b) * VW);
                if (given) from_h[g] = eng_rnn_get(bi + (q * GATES + g) * hidden + u, n);
                else if (!started && !has_state) from_h[g] = (VT)(0);
              }
              __global CT *keep_at = kept + kept_off + (d * all + now + q) * KEPT * hidden + u;
#ifdef LSTM
              const VT in_gate = eng_rnn_sigmoid(v[0] + from_h[0]), forget = eng_rnn_sigmoid(v[1] + from_h[1]);
              const VT new = eng_rnn_tanh(v[2] + from_h[2]), out_gate = eng_rnn_sigmoid(v[3] + from_h[3]);
              VT c = (VT)(0);
              if (started) c = eng_rnn_get(cell + q * hidden + u, n);
              else if (has_state) c = eng_rnn_get(c0 + c0_off + (d * batch + q) * hidden + u, n);
              c = forget * c + in_gate * new;
              const VT h = out_gate * eng_rnn_tanh(c);
              eng_rnn_put(cell + q * hidden + u, n, c);
              if (keep) {
                eng_rnn_put(keep_at, n, in_gate);
                eng_rnn_put(keep_at + hidden, n, forget);
                eng_rnn_put(keep_at + 2 * hidden, n, new);
                eng_rnn_put(keep_at + 3 * hidden, n, out_gate);
                eng_rnn_put(keep_at + 4 * hidden, n, c);
              }
#elif defined(GRU)
              const VT reset = eng_rnn_sigmoid(v[0] + from_h[0]), update = eng_rnn_sigmoid(v[1] + from_h[1]);
              const VT share = from_h[2] + bias_h, new = eng_rnn_tanh(v[2] + reset * share);
              VT old = (VT)(0);
              if (started) old = eng_rnn_get(y + y_off + (past + q) * y_rs + d * width + u, n);
              else if (has_state) old = eng_rnn_get(h0 + h0_off + (d * batch + q) * width + u, n);
              const VT h = new + update * (old - new);
              if (keep) {
                eng_rnn_put(keep_at, n, reset);
                eng_rnn_put(keep_at + hidden, n, update);
                eng_rnn_put(keep_at + 2 * hidden, n, new);
                eng_rnn_put(keep_at + 3 * hidden, n, share);
              }
#elif defined(TANH)
              const VT h = eng_rnn_tanh(v[0] + from_h[0]);
#else
              const VT sum = v[0] + from_h[0], h = sum < (VT)(0) ? (VT)(0) : sum;
#endif
#ifdef PROJECTED
              eng_rnn_put(m + m_off + (d * (keep ? all : batch) + (keep ? now : 0) + q) * hidden + u, n, h);
#else
              eng_rnn_put(y + y_off + (now + q) * y_rs + d * width + u, n, h);
              if (q >= next_count) eng_rnn_put(last + q * width + u, n, h);
#endif
            }
          }
        }
#ifdef PROJECTED
    const long p2 = MIN(p0 + panel_part, LAST_PANEL(width));
    if (phases & 2)
      for (long p = p0; p < p2; p++)
        for (long r = r0; r < r1; r += MR) {
          CT tile[MR * NB * VW];
          __global const CT *a[MR];
          for (int i = 0; i < MR; i++)
            a[i] = m + m_off + (d * (keep ? all : batch) + (keep ? now : 0) + MIN(r + i, r1 - 1)) * hidden;
#ifdef LANES
          __global const CT *panel = wp + wp_off + d * width * hidden + p;
#else
          __global const CT *panel = wp + wp_off + (d * LAST_PANEL(width) + p) * hidden * WIDTH;
#endif
          eng_rnn_product_narrow(tile, a, panel, hidden, width);
          const long rows = MIN(r1 - r, MR);
          for (int b = 0; b < NB; b++) {
            const long u = p * WIDTH + b * VW;
            const int n = (int)MIN(width - u, VW);
            if (n <= 0) break;
            for (long i = 0; i < rows; i++) {
              const VT h = *(VT *)(tile + (i * NB + b) * VW);
              eng_rnn_put(y + y_off + (now + r + i) * y_rs + d * width + u, n, h);
              if (r + i >= next_count) eng_rnn_put(last + (r + i) * width + u, n, h);
            }
          }
        }
#endif
  }
}
#endif

#ifdef BACKWARD
// Steps [s0, s1) of the way back, of which step `steps` only finishes dh0. kept, y, h0, c0 as in the forward pass; dy
// like y if has_dy; dhn, dcn: gradients of the last states if has_dhn, has_dcn. dg0, dg1: gradients of the projected
// input, rows of GATES * hidden, per direction; ds0, ds1: for GRU, those of the state's projection. dh, dc: gradients
// of the first states; until the end dc is the running one, and dh for GRU the share that passes by the gates.
// dm: (directions, all, width) gradients of projected states. phases: 1 projected state, 2 cells; 2 if not PROJECTED.
#ifdef GRU
#define STATE_GRAD(d) ((d) ? ds1 + ds1_off : ds0 + ds0_off)
#else
#define STATE_GRAD(d) ((d) ? dg1 + dg1_off : dg0 + dg0_off)
#endif
KATTR __kernel void eng_rnn_backward(__global const CT *w, long w_off, __global const CT *wp, long wp_off,
                                     __global const CT *h0, long h0_off, __global const CT *c0, long c0_off,
                                     __global const long *off, long off_off, __global const CT *y, long y_off,
                                     __global const CT *kept, long kept_off, __global const CT *dy, long dy_off,
                                     __global const CT *dhn, long dhn_off, __global const CT *dcn, long dcn_off,
                                     __global CT *dg0, long dg0_off, __global CT *dg1, long dg1_off,
                                     __global CT *ds0, long ds0_off, __global CT *ds1, long ds1_off,
                                     __global CT *dh, long dh_off, __global CT *dc, long dc_off,
                                     __global CT *dm, long dm_off, long steps, long batch, long all, long hidden,
                                     long width, long y_rs, long dy_ts, long dy_rs, long has_state, long packed,
                                     long has_dy, long has_dhn, long has_dcn, long s0, long s1, long phases, long items,
                                     long row_parts, long row_part, long panel_parts, long panel_part) {
  ITEM
  __global CT *dg = d ? dg1 + dg1_off : dg0 + dg0_off, *ds = STATE_GRAD(d);
  __global CT *dhd = dh + dh_off + d * batch * width, *dcd = dc + dc_off + d * batch * hidden;
  const long inner = GATES * hidden;
#ifdef LANES
  __global const CT *panel0 = w + w_off + d * width * inner, *panel1 = wp + wp_off + d * width * hidden;
#else
  __global const CT *panel0 = w + w_off + d * LAST_PANEL(width) * inner * WIDTH;
  __global const CT *panel1 = wp + wp_off + d * LAST_PANEL(hidden) * width * WIDTH;
#endif
  for (long s = s0; s < s1; s++) {
    const long t = d ? s : steps - 1 - s, later = d ? t - 1 : t + 1, earlier = d ? t + 1 : t - 1;
    const long now = s < steps ? OFFSET(t) : 0, count = s < steps ? COUNT(t) : 0;
    const long past = s > 0 ? OFFSET(later) : 0, past_count = s > 0 ? COUNT(later) : 0;
    const long old_row = s + 1 < steps ? OFFSET(earlier) : 0, old_count = s + 1 < steps ? COUNT(earlier) : 0;
    const long r1 = MIN(r0 + row_part, MAX(count, past_count));
    const long kk = s > 0 ? inner : 0;
    const long p1 = MIN(p0 + panel_part, LAST_PANEL(width));
#ifdef PROJECTED
    if (phases & 1)
#endif
      for (long p = p0; p < p1; p++)
        for (long r = r0; r < r1; r += MR) {
          CT tile[MR * NV * VW];
          __global const CT *a[MR];
          for (int i = 0; i < MR; i++) a[i] = ds + (past + MIN(MIN(r + i, r1 - 1), past_count - 1)) * inner;
          eng_rnn_product(tile, a, panel0 + W_PANEL(p, inner, NV, width), kk, width);
          const long rows = MIN(r1 - r, MR);
          for (int b = 0; b < NB; b++) {
            const long u = p * WIDTH + b * VW;
            const int n = (int)MIN(width - u, VW);
            if (n <= 0) break;
            for (long i = 0; i < rows; i++) {
              const long q = r + i;
              const int started = q < past_count;
              VT g = *(VT *)(tile + (i * NV + b) * VW);
#ifdef GRU
              if (started) g += eng_rnn_get(dhd + q * width + u, n);
#endif
              if (!started) g = has_dhn ? eng_rnn_get(dhn + dhn_off + (d * batch + q) * width + u, n) : (VT)(0);
              if (q >= count) {
                eng_rnn_put(dhd + q * width + u, n, g);
                continue;
              }
              if (has_dy) g += eng_rnn_get(dy + dy_off + (packed ? now : t) * dy_ts + q * dy_rs + d * width + u, n);
#ifdef PROJECTED
              eng_rnn_put(dm + dm_off + (d * all + now + q) * width + u, n, g);
            }
          }
        }
    const long p2 = MIN(p0 + panel_part, LAST_PANEL(hidden));
    if (phases & 2)
      for (long p = p0; p < p2; p++)
        for (long r = r0; r < MIN(r1, count); r += MR) {
          CT tile[MR * NV * VW];
          __global const CT *a[MR];
          for (int i = 0; i < MR; i++)
            a[i] = dm + dm_off + (d * all + now + MIN(MIN(r + i, r1 - 1), count - 1)) * width;
          eng_rnn_product(tile, a, panel1 + W_PANEL(p, width, NV, hidden), width, hidden);
          const long rows = MIN(MIN(r1, count) - r, MR);
          for (int b = 0; b < NB; b++) {
            const long u = p * WIDTH + b * VW;
            const int n = (int)MIN(hidden - u, VW);
            if (n <= 0) break;
            for (long i = 0; i < rows; i++) {
              const long q = r + i;
              const int started = q < past_count;
              const VT g = *(VT *)(tile + (i * NV + b) * VW);
#endif
              __global CT *to = dg + (now + q) * inner + u;
              __global const CT *kept_at = kept + kept_off + (d * all + now + q) * KEPT * hidden + u;
#ifdef LSTM
              const VT in_gate = eng_rnn_get(kept_at, n), forget = eng_rnn_get(kept_at + hidden, n);
              const VT new = eng_rnn_get(kept_at + 2 * hidden, n), out_gate = eng_rnn_get(kept_at + 3 * hidden, n);
              const VT squashed = eng_rnn_tanh(eng_rnn_get(kept_at + 4 * hidden, n));
              VT c = (VT)(0), carried = (VT)(0);
              if (q < old_count) c = eng_rnn_get(kept + kept_off + ((d * all + old_row + q) * KEPT + 4) * hidden + u, n);
              else if (has_state) c = eng_rnn_get(c0 + c0_off + (d * batch + q) * hidden + u, n);
              if (started) carried = eng_rnn_get(dcd + q * hidden + u, n);
              else if (has_dcn) carried = eng_rnn_get(dcn + dcn_off + (d * batch + q) * hidden + u, n);
              const VT through = carried + g * out_gate * ((VT)(1) - squashed * squashed);
              eng_rnn_put(to, n, through * new * in_gate * ((VT)(1) - in_gate));
              eng_rnn_put(to + hidden, n, through * c * forget * ((VT)(1) - forget));
              eng_rnn_put(to + 2 * hidden, n, through * in_gate * ((VT)(1) - new * new));
              eng_rnn_put(to + 3 * hidden, n, g * squashed * out_gate * ((VT)(1) - out_gate));
              eng_rnn_put(dcd + q * hidden + u, n, through * forget);
#elif defined(GRU)
              const VT reset = eng_rnn_get(kept_at, n), update = eng_rnn_get(kept_at + hidden, n);
              const VT new = eng_rnn_get(kept_at + 2 * hidden, n), share = eng_rnn_get(kept_at + 3 * hidden, n);
              VT old = (VT)(0);
              if (q < old_count) old = eng_rnn_get(y + y_off + (old_row + q) * y_rs + d * width + u, n);
              else if (has_state) old = eng_rnn_get(h0 + h0_off + (d * batch + q) * width + u, n);
              const VT to_new = g * ((VT)(1) - update) * ((VT)(1) - new * new);
              const VT to_update = g * (old - new) * update * ((VT)(1) - update);
              const VT to_reset = to_new * share * reset * ((VT)(1) - reset);
              __global CT *state_to = ds + (now + q) * inner + u;
              eng_rnn_put(to, n, to_reset);
              eng_rnn_put(to + hidden, n, to_update);
              eng_rnn_put(to + 2 * hidden, n, to_new);
              eng_rnn_put(state_to, n, to_reset);
              eng_rnn_put(state_to + hidden, n, to_update);
              eng_rnn_put(state_to + 2 * hidden, n, to_new * reset);
              eng_rnn_put(dhd + q * width + u, n, g * update);
#else
              const VT h = eng_rnn_get(y + y_off + (now + q) * y_rs + d * width + u, n);
#ifdef TANH
              eng_rnn_put(to, n, g * ((VT)(1) - h * h));
#else
              eng_rnn_put(to, n, h > (VT)(0) ? g : (VT)(0));
#endif
#endif
            }
          }
        }
  }
}
#endif
#endif
