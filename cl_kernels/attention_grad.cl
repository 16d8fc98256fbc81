// Gradients of attention on CPU devices. A work-item takes a part of the keys of one head and goes over the blocks of
// queries; weights come again from the scores and the saved maximum and sum of each row. Follows attention_tiles.cl.
//
//   P = softmax(S), dV = P^T dO, dP = dO V^T, dS = P (dP - rowsum(dO O)), dQ = scale dS K, dK = scale dS^T Q

#ifdef MASK
#define MASK_PARAMS __global const MT *restrict mask, long mask_offset,
#else
#define MASK_PARAMS
#endif

#define LOCAL_ROW(i) __local const float *p##i = a + MIN(i, rows - 1) * lda;
#define ADD1(i, j) *(__global VT *)(dst + i * ldd + j * VW) += ACC(i, j);
#define ADD(i)                                                                                                         \
  if (i < rows) {                                                                                                      \
    COLS(ADD1, i)                                                                                                      \
  }
#define SPILL1(i, j) *(__local AVT *)(spill + i * LANES + j * VW) = ACC(i, j);
#define SPILL(i) COLS(SPILL1, i)

// dst[r][c] += sum over k < depth of a[r][k] * b[k][c] for r < rows (up to MR) and c < cols (up to LANES).
static void add_tile(__global float *dst, long ldd, long rows, long cols, __local const float *a, long lda,
                     __local const float *b, long ldb, long depth, __local float *spill) {
  const long step = 1;
  ROWS(LOCAL_ROW)
  ROWS(ZERO)
  TILE_LOOP
  if (cols >= LANES) {
    ROWS(ADD)
  } else {
    ROWS(SPILL)
    SHORT
    for (long r = 0; r < MIN(rows, MR); r++)
      SHORT
      for (long c = 0; c < cols; c++)
        dst[r * ldd + c] += spill[r * LANES + c];
  }
}

// dst[r][c] = src[r][c] * factor[r], zero from column `cols` on; ldd is a multiple of VW.
static void copy_rows(__local float *dst, long ldd, __global const float *src, long ld, long rows, long cols,
                      __local const float *factor) {
  for (long r = 0; r < rows; r++, dst += ldd, src += ld) {
    const float f = factor[r];
    long c = 0;
    SHORT
    for (; c + VW <= cols; c += VW)
      *(__local AVT *)(dst + c) = *(__global const VT *)(src + c) * f;
    SHORT
    for (; c < ldd; c++)
      dst[c] = c < cols ? src[c] * f : 0.0f;
  }
}

static float dot_rows(__global const float *x, __global const float *y, long n) {
  V8 sum = (V8)(0);
  long c = 0;
  for (; c + 8 <= n; c += 8)
    sum += *(__global const V8 *)(x + c) * *(__global const V8 *)(y + c);
  float rest = 0.0f;
  SHORT
  for (; c < n; c++)
    rest += x[c] * y[c];
  float4 s = sum.lo + sum.hi;
  return rest + (s.x + s.y) + (s.z + s.w);
}

// scores[j][i] becomes the power p, slopes[j][i] = dP becomes p * (dP - delta[i]).
static void weights_step(__local float *scores, __local float *slopes, long ld, long keys, __local const float *top,
                         __local const float *delta) {
  for (long w = 0; w < ld; w += VW) {
    AVT m = *(__local const AVT *)(top + w), s = *(__local const AVT *)(delta + w);
    for (long j = 0; j < keys; j++) {
      __local AVT *x = (__local AVT *)(scores + j * ld + w), *y = (__local AVT *)(slopes + j * ld + w);
      AVT p = power_of_two(*x - m);
      *x = p;
      *y = p * (*y - s);
    }
  }
}

// `part` of `parts` equal parts (multiples of bn) of the keys of key head hk in batch b. Gradients of q go to
// dq + part * dq_p and are summed afterwards if there are several parts. `scale` is without log2(e).
__kernel KATTR void eng_attention_grad(
    __global const float *restrict q, long q_offset, __global const float *restrict k, long k_offset,
    __global const float *restrict v, long v_offset, MASK_PARAMS __global const float *restrict out, long out_offset,
    __global const float *restrict stats, long stats_offset, __global const float *restrict g, long g_offset,
    __global float *restrict dq, long dq_offset, __global float *restrict dk, long dk_offset,
    __global float *restrict dv, long dv_offset, long batch, long heads, long group, long lq, long lk, long d, long e,
    long q_b, long q_h, long q_r, long k_b, long k_h, long k_r, long v_b, long v_h, long v_r, long m_b, long m_h,
    long m_r, long m_c, long o_b, long o_h, long o_r, long g_b, long g_h, long g_r, long dq_p, long dq_b, long dq_h,
    long dq_r, long dk_b, long dk_h, long dk_r, long dv_b, long dv_h, long dv_r, float scale, long causal, long bq,
    long bn, long parts) {
  __local AVT pool[POOL / VW];
  const long dw = UP(d, LANES), ew = UP(e, LANES), key_heads = heads / group, all = batch * heads * lq;
  __local float *qt = (__local float *)pool, *gt = qt + d * bq, *qs = gt + e * bq, *gs = qs + bq * dw;
  __local float *dqt = gs + bq * ew, *scores = dqt + UP(d, MR) * bq, *slopes = scores + bn * bq;
  __local float *spill = slopes + bn * bq, *top = spill + MR * LANES, *delta = top + bq, *factor = delta + bq;
  const long work = get_group_id(0), part = work % parts, z = work / parts, b = z / key_heads, hk = z % key_heads;
  const long blocks = (lk + bn - 1) / bn, share = (blocks + parts - 1) / parts * bn;
  const long begin = MIN(part * share, lk), end = MIN(begin + share, lk);
  k += k_offset + b * k_b + hk * k_h;
  v += v_offset + b * v_b + hk * v_h;
  dk += dk_offset + b * dk_b + hk * dk_h;
  dv += dv_offset + b * dv_b + hk * dv_h;
  for (long j = begin; j < end; j++) {
    SHORT
    for (long c = 0; c < d; c++)
      dk[j * dk_r + c] = 0.0f;
    SHORT
    for (long c = 0; c < e; c++)
      dv[j * dv_r + c] = 0.0f;
  }
  for (long h = hk * group; h < (hk + 1) * group; h++)
    for (long i0 = 0; i0 < lq; i0 += bq) {
      const long rows = MIN(bq, lq - i0), seen = causal ? MIN(end, i0 + rows) : end;
      __global const float *qb = q + q_offset + b * q_b + h * q_h + i0 * q_r;
      __global const float *gb = g + g_offset + b * g_b + h * g_h + i0 * g_r;
      __global const float *ob = out + out_offset + b * o_b + h * o_h + i0 * o_r;
      __global const float *st = stats + stats_offset + (b * heads + h) * lq + i0;
      fill(factor, 1.0f, bq);
      copy_rows(qs, dw, qb, q_r, rows, d, factor);
      fill(factor, scale * LOG2E, bq);
      turn_in(qt, bq, qb, q_r, rows, bq, d, factor);
      SHORT
      for (long i = 0; i < bq; i++) {
        top[i] = i < rows ? st[i] : 0.0f;
        factor[i] = i < rows ? st[all + i] : 0.0f;
      }
      copy_rows(gs, ew, gb, g_r, rows, e, factor);
      SHORT
      for (long i = 0; i < bq; i++) {
        factor[i] *= scale;
        delta[i] = i < rows ? factor[i] * dot_rows(gb + i * g_r, ob + i * o_r, e) : 0.0f;
      }
      turn_in(gt, bq, gb, g_r, rows, bq, e, factor);
      fill(factor, 1.0f, bq);
      if (begin >= seen)
        fill(dqt, 0.0f, d * bq);
      for (long j0 = begin; j0 < seen; j0 += bn) {
        const long n = MIN(bn, seen - j0);
        __global const float *kb = k + j0 * k_r, *vb = v + j0 * v_r;
        int masked = 0;
#ifdef MASK
        masked = 1;
        turn_mask(scores, bq, mask + mask_offset + b * m_b + h * m_h + i0 * m_r + j0 * m_c, m_r, m_c, rows, bq, n);
#endif
        // scores, slopes and, once these are complete, gradients of q: one text for all, since compiling costs
        for (int phase = 0; phase < 3; phase++) {
          if (phase == 2) {
            if (causal)
              hide_later(scores, bq, i0, j0, n);
            weights_step(scores, slopes, bq, n, top, delta);
          }
          __local float *to = phase == 0 ? scores : phase == 1 ? slopes : dqt;
          __local float *with = phase == 0 ? qt : phase == 1 ? gt : slopes;
          __global const float *from = phase == 1 ? vb : kb;
          const long lines = phase < 2 ? n : d, line = phase == 0 ? k_r : phase == 1 ? v_r : 1;
          const long step = phase < 2 ? 1 : k_r, depth = phase == 0 ? d : phase == 1 ? e : n;
          const int start = phase == 0 ? masked : phase == 2 && j0 > begin;
          for (long w = 0; w < bq; w += LANES)
            for (long r = 0; r < lines; r += MR)
              tile(to + r * bq + w, bq, from + r * line, line, step, lines - r, with + w, bq, depth, start, factor + w);
        }
        for (int phase = 0; phase < 2; phase++) {
          __global float *to = phase ? dk + j0 * dk_r : dv + j0 * dv_r;
          __local float *from = phase ? slopes : scores, *with = phase ? qs : gs;
          const long row = phase ? dk_r : dv_r, width = phase ? d : e, pitch = phase ? dw : ew;
          for (long c = 0; c < width; c += LANES)
            for (long j = 0; j < n; j += MR)
              add_tile(to + j * row + c, row, n - j, width - c, from + j * bq, bq, with + c, pitch, rows, spill);
        }
      }
      turn_out(dq + dq_offset + part * dq_p + b * dq_b + h * dq_h + i0 * dq_r, dq_r, dqt, bq, rows, d, factor);
    }
}

// out[b][h][i][c] = sum over parts of x[part][b][h][i][c] (contiguous); a work-item takes `share` rows.
__kernel KATTR void eng_attention_sum(__global const float *restrict x, long x_offset, __global float *restrict out,
                                      long out_offset, long parts, long batch, long heads, long rows, long d, long o_b,
                                      long o_h, long o_r, long share) {
  const long all = batch * heads * rows, begin = (long)get_group_id(0) * share, end = MIN(begin + share, all);
  for (long r = begin; r < end; r++) {
    __global const float *s = x + x_offset + r * d;
    __global float *t = out + out_offset + r / (heads * rows) * o_b + r / rows % heads * o_h + r % rows * o_r;
    for (long c = 0; c < d; c++) {
      float sum = s[c];
      for (long p = 1; p < parts; p++)
        sum += s[p * all * d + c];
      t[c] = sum;
    }
  }
}
