// Attention on CPU devices without the matrix of scores (Dao et al. 2022, "FlashAttention"): online softmax over blocks
// of keys. A work-item takes blocks of `bq` queries of one head. Follows attention_tiles.cl.

#ifdef MASK
#define MASK_PARAMS __global const MT *restrict mask, long mask_offset,
#else
#define MASK_PARAMS
#endif

#define LARGER(a, b) ((b) > (a) ? (b) : (a))

// One block of keys: top = running maximum, total = running sum of powers, factor = what both the sum and the output so
// far are multiplied by. scores[j][i] becomes its power.
static void softmax_step(__local float *scores, long ld, long keys, __local float *top, __local float *total,
                         __local float *factor) {
  for (long w = 0; w < ld; w += VW) {
    __local float *s = scores + w;
    AVT before = *(__local AVT *)(top + w), m = before, m1 = m, m2 = m, m3 = m;
    long j = 0;
    for (; j + 4 <= keys; j += 4) {
      __local float *x = s + j * ld;
      m = LARGER(m, *(__local AVT *)x);
      m1 = LARGER(m1, *(__local AVT *)(x + ld));
      m2 = LARGER(m2, *(__local AVT *)(x + 2 * ld));
      m3 = LARGER(m3, *(__local AVT *)(x + 3 * ld));
    }
    for (; j < keys; j++)
      m = LARGER(m, *(__local AVT *)(s + j * ld));
    m = LARGER(LARGER(m, m1), LARGER(m2, m3));
    AVT safe = m == HIDDEN ? (AVT)(0) : m;
    AVT scale = power_of_two(before - safe), sum = *(__local AVT *)(total + w) * scale;
    for (long j = 0; j < keys; j++) {
      AVT p = power_of_two(*(__local AVT *)(s + j * ld) - safe);
      sum += p;
      *(__local AVT *)(s + j * ld) = p;
    }
    *(__local AVT *)(top + w) = m;
    *(__local AVT *)(total + w) = sum;
    *(__local AVT *)(factor + w) = scale;
  }
}

// out[b][h][i] = softmax(scale q k^T + mask) v; stats[0][b][h][i] = maximum of the row's scores in powers of two,
// stats[1] = 1 / (sum of the powers). `scale` includes log2(e). Head h reads key and value head h / group.
__kernel KATTR void eng_attention(__global const float *restrict q, long q_offset, __global const float *restrict k,
                                  long k_offset, __global const float *restrict v, long v_offset, MASK_PARAMS
                                  __global float *restrict out, long out_offset, __global float *restrict stats,
                                  long stats_offset, long batch, long heads, long group, long lq, long lk, long d,
                                  long dv, long q_b, long q_h, long q_r, long k_b, long k_h, long k_r, long v_b,
                                  long v_h, long v_r, long m_b, long m_h, long m_r, long m_c, long o_b, long o_h,
                                  long o_r, float scale, long causal, long bq, long bn, long share) {
  __local AVT pool[POOL / VW];
  __local float *qt = (__local float *)pool, *ot = qt + d * bq, *scores = ot + UP(dv, MR) * bq;
  __local float *top = scores + bn * bq, *total = top + bq, *factor = total + bq;
  long blocks = (lq + bq - 1) / bq, work = (long)get_group_id(0) * share, end = MIN(work + share, batch * heads * blocks);
  for (; work < end; work++) {
    long z = work / blocks, i0 = work % blocks * bq, rows = MIN(bq, lq - i0);
    long b = z / heads, h = z % heads, hk = h / group;
    __global const float *keys = k + k_offset + b * k_b + hk * k_h, *values = v + v_offset + b * v_b + hk * v_h;
    fill(top, HIDDEN, bq);
    fill(total, 0.0f, bq);
    fill(factor, scale, bq);
    turn_in(qt, bq, q + q_offset + b * q_b + h * q_h + i0 * q_r, q_r, rows, bq, d, factor);
    long seen = causal ? MIN(lk, i0 + rows) : lk;
    for (long j0 = 0; j0 < seen; j0 += bn) {
      long n = MIN(bn, seen - j0);
      __global const float *kb = keys + j0 * k_r, *vb = values + j0 * v_r;
      int masked = 0;
#ifdef MASK
      masked = 1;
      fill(factor, 1.0f, bq);
      turn_mask(scores, bq, mask + mask_offset + b * m_b + h * m_h + i0 * m_r + j0 * m_c, m_r, m_c, rows, bq, n);
#endif
      // scores of the block, then what they add to the output: one text for both, since compiling costs
      for (int phase = 0; phase < 2; phase++) {
        if (phase) {
          if (causal)
            hide_later(scores, bq, i0, j0, n);
          softmax_step(scores, bq, n, top, total, factor);
        }
        __local float *to = phase ? ot : scores, *with = phase ? scores : qt;
        __global const float *from = phase ? vb : kb;
        const long lines = phase ? dv : n, line = phase ? 1 : k_r, step = phase ? v_r : 1, depth = phase ? n : d;
        const int start = phase ? j0 > 0 : masked;
        for (long w = 0; w < bq; w += LANES)
          for (long r = 0; r < lines; r += MR)
            tile(to + r * bq + w, bq, from + r * line, line, step, lines - r, with + w, bq, depth, start, factor + w);
      }
    }
    __global float *s = stats + stats_offset + z * lq + i0;
    SHORT
    for (long i = 0; i < bq; i++)
      total[i] = total[i] == 0.0f ? 0.0f : 1.0f / total[i];
    SHORT
    for (long i = 0; i < rows; i++) {
      s[i] = top[i] == HIDDEN ? 0.0f : top[i];
      s[batch * heads * lq + i] = total[i];
    }
    turn_out(out + out_offset + b * o_b + h * o_h + i0 * o_r, o_r, ot, bq, rows, dv, total);
  }
}
