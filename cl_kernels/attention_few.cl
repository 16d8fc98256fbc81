// Attention of few queries over many keys on CPU devices, as in decoding: bound by reading keys and values once. Vectors
// run along the head size. A work-item takes a part of the keys for all queries of one key head. Follows
// attention_tiles.cl.

#ifdef MASK
#define MASK_PARAMS __global const MT *restrict mask, long mask_offset,
#else
#define MASK_PARAMS
#endif
#define LARGER(a, b) ((b) > (a) ? (b) : (a))

#if VW == 16
#define FOLD(v) (v).lo + (v).hi
#define SUM_OF(v) sum_of_8(FOLD(v))
#elif VW == 8
#define SUM_OF(v) sum_of_8(v)
#else
#define SUM_OF(v) ((v).x + (v).y) + ((v).z + (v).w)
#endif

static float sum_of_8(float8 v) {
  float4 s = v.lo + v.hi;
  return (s.x + s.y) + (s.z + s.w);
}

// scores[j] = sum over c of x[c] * k[j][c]
static void dot_keys(__local float *scores, __local const float *x, __global const float *k, long ld, long keys,
                     long d) {
  long j = 0;
  for (; j + 4 <= keys; j += 4) {
    __global const float *k0 = k + j * ld, *k1 = k0 + ld, *k2 = k1 + ld, *k3 = k2 + ld;
    AVT a0 = (AVT)(0), a1 = (AVT)(0), a2 = (AVT)(0), a3 = (AVT)(0);
    long c = 0;
    for (; c + VW <= d; c += VW) {
      AVT t = *(__local const VT *)(x + c);
      a0 += t * *(__global const VT *)(k0 + c);
      a1 += t * *(__global const VT *)(k1 + c);
      a2 += t * *(__global const VT *)(k2 + c);
      a3 += t * *(__global const VT *)(k3 + c);
    }
    float s0 = SUM_OF(a0), s1 = SUM_OF(a1), s2 = SUM_OF(a2), s3 = SUM_OF(a3);
    for (; c < d; c++) {
      s0 += x[c] * k0[c];
      s1 += x[c] * k1[c];
      s2 += x[c] * k2[c];
      s3 += x[c] * k3[c];
    }
    scores[j] = s0;
    scores[j + 1] = s1;
    scores[j + 2] = s2;
    scores[j + 3] = s3;
  }
  for (; j < keys; j++) {
    float s = 0.0f;
    for (long c = 0; c < d; c++)
      s += x[c] * k[j * ld + c];
    scores[j] = s;
  }
}

// out[c] = out[c] * factor + sum over j of p[j] * v[j][c]
static void add_values(__local float *out, float factor, __local const float *p, __global const float *v, long ld,
                       long keys, long e) {
  long c = 0;
  for (; c + 4 * VW <= e; c += 4 * VW) {
    __local VT *o = (__local VT *)(out + c);
    AVT a0 = o[0] * factor, a1 = o[1] * factor, a2 = o[2] * factor, a3 = o[3] * factor;
    for (long j = 0; j < keys; j++) {
      __global const VT *x = (__global const VT *)(v + j * ld + c);
      AVT t = (AVT)(p[j]);
      a0 += t * x[0];
      a1 += t * x[1];
      a2 += t * x[2];
      a3 += t * x[3];
    }
    o[0] = a0;
    o[1] = a1;
    o[2] = a2;
    o[3] = a3;
  }
  for (; c + VW <= e; c += VW) {
    __local VT *o = (__local VT *)(out + c);
    AVT a0 = *o * factor, a1 = (AVT)(0);
    long j = 0;
    for (; j + 2 <= keys; j += 2) {
      a0 += (AVT)(p[j]) * *(__global const VT *)(v + j * ld + c);
      a1 += (AVT)(p[j + 1]) * *(__global const VT *)(v + (j + 1) * ld + c);
    }
    if (j < keys)
      a0 += (AVT)(p[j]) * *(__global const VT *)(v + j * ld + c);
    *o = a0 + a1;
  }
  if (c < e)
    for (long r = c; r < e; r++)
      out[r] *= factor;
  for (long j = 0; c < e && j < keys; j++)
    for (long r = c; r < e; r++)
      out[r] += p[j] * v[j * ld + r];
}

// The powers of a row of scores, hidden ones up to a multiple of VW; returns what the sums so far are multiplied by.
static float row_step(__local float *scores, long keys, __local float *top, __local float *total) {
  for (long j = keys; j < UP(keys, VW); j++)
    scores[j] = HIDDEN;
  AVT m = (AVT)(HIDDEN), sum = (AVT)(0);
  for (long j = 0; j < keys; j += VW)
    m = LARGER(m, *(__local AVT *)(scores + j));
  __local float *e = scores + UP(keys, VW);
  *(__local AVT *)e = m;
  float before = *top, most = before;
  for (int i = 0; i < VW; i++)
    most = LARGER(most, e[i]);
  float safe = most == HIDDEN ? 0.0f : most;
  for (long j = 0; j < keys; j += VW) {
    AVT p = power_of_two(*(__local AVT *)(scores + j) - safe);
    *(__local AVT *)(scores + j) = p;
    sum += p;
  }
  *(__local AVT *)e = power_of_two((AVT)(before - safe));
  float factor = e[0];
  *top = most;
  *total = *total * factor + SUM_OF(sum);
  return factor;
}

// Query r of key head hk is position r % lq of head hk * group + r / lq. With one part, `out` is the result; otherwise
// a row of `out` has e sums, the maximum and the total of the part, and eng_attention_merge follows.
__kernel KATTR void eng_attention_few(__global const float *restrict q, long q_offset, __global const float *restrict k,
                                      long k_offset, __global const float *restrict v, long v_offset, MASK_PARAMS
                                      __global float *restrict out, long out_offset, long heads, long group, long lq,
                                      long lk, long d, long e, long q_b, long q_h, long q_r, long k_b, long k_h,
                                      long k_r, long v_b, long v_h, long v_r, long m_b, long m_h, long m_r, long m_c,
                                      long o_b, long o_h, long o_r, float scale, long causal, long bn, long parts) {
  __local AVT pool[POOL / VW];
  const long n_rows = group * lq, dw = UP(d, VW), ew = UP(e, VW), key_heads = heads / group;
  __local float *x = (__local float *)pool, *y = x + n_rows * dw, *scores = y + n_rows * ew;
  __local float *top = scores + bn + VW, *total = top + n_rows;
  const long work = get_group_id(0), part = work % parts, z = work / parts, b = z / key_heads, hk = z % key_heads;
  const long blocks = (lk + bn - 1) / bn, share = (blocks + parts - 1) / parts * bn;
  const long begin = MIN(part * share, lk), end = MIN(begin + share, lk);
  k += k_offset + b * k_b + hk * k_h;
  v += v_offset + b * v_b + hk * v_h;
  for (long r = 0; r < n_rows; r++) {
    __global const float *s = q + q_offset + b * q_b + (hk * group + r / lq) * q_h + r % lq * q_r;
    for (long c = 0; c < d; c++)
      x[r * dw + c] = s[c] * scale;
    top[r] = HIDDEN;
    total[r] = 0.0f;
  }
  fill(y, 0.0f, n_rows * ew);
  for (long j0 = begin; j0 < end; j0 += bn) {
    const long n = MIN(bn, end - j0);
    for (long r = 0; r < n_rows; r++) {
      const long i = r % lq, seen = causal ? MIN(n, i + 1 - j0) : n;
      if (seen <= 0)
        continue;
      dot_keys(scores, x + r * dw, k + j0 * k_r, k_r, seen, d);
#ifdef MASK
      __global const MT *s = mask + mask_offset + b * m_b + (hk * group + r / lq) * m_h + i * m_r + j0 * m_c;
      for (long j = 0; j < seen; j++)
        scores[j] += MASK_VALUE(s[j * m_c]);
#endif
      const float factor = row_step(scores, seen, top + r, total + r);
      add_values(y + r * ew, factor, scores, v + j0 * v_r, v_r, seen, e);
    }
  }
  for (long r = 0; r < n_rows; r++) {
    const long h = hk * group + r / lq, i = r % lq;
    if (parts == 1) {
      __global float *o = out + out_offset + b * o_b + h * o_h + i * o_r;
      const float f = total[r] == 0.0f ? 0.0f : 1.0f / total[r];
      for (long c = 0; c < e; c++)
        o[c] = y[r * ew + c] * f;
    } else {
      __global float *o = out + out_offset + (((b * heads + h) * lq + i) * parts + part) * (e + 2);
      for (long c = 0; c < e; c++)
        o[c] = y[r * ew + c];
      o[e] = top[r];
      o[e + 1] = total[r];
    }
  }
}

// The rows of several parts as one: a work-item takes `share` rows.
__kernel KATTR void eng_attention_merge(__global const float *restrict x, long x_offset, __global float *restrict out,
                                        long out_offset, long parts, long batch, long heads, long lq, long e, long o_b,
                                        long o_h, long o_r, long share) {
  __local AVT factor[1];
  __local float *f = (__local float *)factor;
  const long all = batch * heads * lq, begin = (long)get_group_id(0) * share, end = MIN(begin + share, all);
  for (long r = begin; r < end; r++) {
    __global const float *s = x + x_offset + r * parts * (e + 2);
    __global float *o = out + out_offset + r / (heads * lq) * o_b + r / lq % heads * o_h + r % lq * o_r;
    float most = HIDDEN, total = 0.0f;
    for (long p = 0; p < parts; p++)
      most = LARGER(most, s[p * (e + 2) + e]);
    most = most == HIDDEN ? 0.0f : most;
    for (long c = 0; c < e; c++)
      o[c] = 0.0f;
    for (long p = 0; p < parts; p++, s += e + 2) {
      factor[0] = power_of_two((AVT)(s[e] - most));
      total += f[0] * s[e + 1];
      for (long c = 0; c < e; c++)
        o[c] += f[0] * s[c];
    }
    const float inverse = total == 0.0f ? 0.0f : 1.0f / total;
    for (long c = 0; c < e; c++)
      o[c] *= inverse;
  }
}
