// Draws from gamma distributions, and derivatives of gamma and beta samples by their parameters at a fixed quantile:
// dx/da = -(dF/da) / F'(x) for the distribution function F (Figurnov, Mohamed and Mnih 2018).

// A number strictly between 0 and 1 from 64 random bits
ENG_FN real eng_open_unit_t(ulong r) {
  return sizeof(real) == 4 ? ((real)(int)(r >> 41) + 0.5) * 0x1p-23 : ((real)(long)(r >> 12) + 0.5) * 0x1p-52;
}

// Logarithm of a gamma variate of shape a, its random bits keyed by `key` (Marsaglia and Tsang 2000; below 1 by
// a variate of shape a + 1)
ENG_FN real eng_log_gamma_draw_t(real a, ulong key) {
  if (!(a > 0)) return a == 0 ? -INFINITY : ENG_NAN_t;
  ulong at = 0;
  real boost = 0.0;
  if (a < 1.0) {
    boost = eng_log_t(eng_open_unit_t(eng_philox64(at++, key, 0))) / a;
    a += 1.0;
  }
  const real d = a - 1.0 / 3.0, c = 1.0 / (3.0 * eng_hw_sqrt_t(d));
  real v = 1.0;
  for (int i = 0; i < 100; i++) {
    const ulong r = eng_philox64(at, key, 0);
    const real radius = -2.0 * eng_log_t(((real)(long)(r >> 32) + 0.5) * 0x1p-32);
    const real z = eng_hw_sqrt_t(radius > 0 ? radius : 0.0) * eng_cos_t((real)(long)(r & 0xffffffffu) * 1.46291807926715968e-9);
    const real w = 1.0 + c * z, u = eng_open_unit_t(eng_philox64(at + 1, key, 0));
    at += 2;
    v = w * w * w;
    if (w > 0 && eng_log_t(u) < 0.5 * z * z + d - d * v + d * eng_log_t(v)) break;
  }
  return eng_log_t(d) + eng_log_t(v) + boost;
}

// dx/da from the power series of P, for x below a + 1
ENG_FN real eng_gamma_grad_series_t(real a, real x) {
  real s = 1.0, ds = 0.0, term = 1.0, sum = 0.0, n = a;
  for (int k = 0; k < 20000; k++) {
    n += 1.0;
    term *= x / n;
    sum += 1.0 / n;
    s += term;
    ds -= term * sum;
    if (term * sum < -ENG_EPSILON_t * ds && term < ENG_EPSILON_t * s) break;
  }
  return -x / a * (s * (eng_log_t(x) - eng_digamma_t(a + 1.0)) + ds);
}

// dx/da from the continued fraction of Q and its derivative by a (Lentz's method), for x above a + 1
ENG_FN real eng_gamma_grad_fraction_t(real a, real x) {
  real b = x + 1.0 - a, c = 1.0 / ENG_LEAST_t, d = 1.0 / b, h = d;
  real dc = 0.0, dd = d * d, dh = dd;
  for (int k = 1; k < 20000; k++) {
    const real i = (real)k, m = i * (a - i);
    b += 2.0;
    const real low = m * d + b, dlow = i * d + m * dd - 1.0;
    const real high = b + m / c, dhigh = -1.0 + (i - m * dc / c) / c;
    d = 1.0 / low;
    dd = -dlow * d * d;
    c = high;
    dc = dhigh;
    const real step = c * d, dstep = dc * d + c * dd;
    dh = dh * step + h * dstep;
    h *= step;
    if (eng_abs_t(step - 1.0) < ENG_EPSILON_t && eng_abs_t(h * dstep) <= 4.0 * ENG_EPSILON_t * eng_abs_t(dh)) break;
  }
  return x * (h * (eng_log_t(x) - eng_digamma_t(a)) + dh);
}

// dx/da of a gamma variate x of shape a; for large a from the normal approximation of its cube root (Wilson and
// Hilferty 1931)
ENG_FN real eng_gamma_sample_grad_t(real a, real x) {
  if (!(a > 0) || !(x >= 0)) return ENG_NAN_t;
  if (x == 0) return 0.0;
  if (x - x != 0) return x;
  if (a > (sizeof(real) == 4 ? 4e3 : 1e6)) {
    const real w = eng_exp_t(eng_log_t(x / (a - 1.0 / 3.0)) / 3.0);
    return w * w * (1.5 - 0.5 * w);
  }
  return x < a + 1.0 ? eng_gamma_grad_series_t(a, x) : eng_gamma_grad_fraction_t(a, x);
}

// The continued fraction of the incomplete beta function I_x(a, b) (Abramowitz and Stegun 26.5.8) and its derivative
// by a or (second) by b
ENG_FN real2 eng_beta_fraction_t(real x, real a, real b, int second) {
  const real sum = a + b;
  real c = 1.0, dc = 0.0, low = 1.0 - sum * x / (a + 1.0);
  real dlow = second ? -x / (a + 1.0) : -x * (1.0 - b) / ((a + 1.0) * (a + 1.0));
  real d = 1.0 / (eng_abs_t(low) < ENG_LEAST_t ? ENG_LEAST_t : low), dd = -dlow * d * d, h = d, dh = dd;
  for (int j = 2; j < 10000; j++) {
    const real m = (real)(j >> 1), even = a + 2.0 * m;
    real t, dt;
    if (j & 1) {
      const real base = -x / (even * (even + 1.0)), up = (a + m) * (sum + m);
      t = base * up;
      dt = second ? base * (a + m) : base * (sum + a + 2.0 * m) - t * (1.0 / even + 1.0 / (even + 1.0));
    } else {
      const real base = m * x / ((even - 1.0) * even);
      t = base * (b - m);
      dt = second ? base : -t * (1.0 / even + 1.0 / (even - 1.0));
    }
    low = 1.0 + t * d;
    dlow = dt * d + t * dd;
    dc = (dt - t * dc / c) / c;
    c = 1.0 + t / c;
    d = 1.0 / (eng_abs_t(low) < ENG_LEAST_t ? ENG_LEAST_t : low);
    dd = -dlow * d * d;
    c = eng_abs_t(c) < ENG_LEAST_t ? ENG_LEAST_t : c;
    const real step = c * d, dstep = dc * d + c * dd;
    dh = dh * step + h * dstep;
    h *= step;
    if (eng_abs_t(step - 1.0) < 2.0 * ENG_EPSILON_t && eng_abs_t(h * dstep) <= 4.0 * ENG_EPSILON_t * (eng_abs_t(dh) + ENG_EPSILON_t)) break;
  }
  return (real2)(h, dh);
}

// dx/da of a beta variate x of parameters a, b, divided by 1 - x; y is 1 - x
ENG_FN real eng_beta_sample_grad_t(real x, real a, real b) {
  const real y = 1.0 - x, sum = a + b;
  if (!(a > 0) || !(b > 0) || !(x >= 0) || !(y >= 0)) return ENG_NAN_t;
  if (x == 0 || y == 0) return 0.0;
  if (a > 1e6 && b > 1e6) {
    const real mean = a / sum, z = (x - mean) * 0.5 * ((b - a) / (a * sum) - 1.0 / sum);
    return (b / (sum * sum) + z) / y;
  }
  if (x * (sum + 2.0) < a + 1.0) {
    const real2 f = eng_beta_fraction_t(x, a, b, 0);
    return -x / a * (f.x * (eng_log_t(x) - 1.0 / a - eng_digamma_t(a) + eng_digamma_t(sum)) + f.y);
  }
  const real2 f = eng_beta_fraction_t(y, b, a, 1);
  return x / b * (f.x * (eng_log_t(x) - eng_digamma_t(a) + eng_digamma_t(sum)) + f.y);
}
