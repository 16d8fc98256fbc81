// Incomplete gamma functions P (igamma) and Q (igammac). For `real`, `bits` and `_t` see math_real.cl.

// m - log(1 + m), accurate for small m
ENG_FN real eng_log1p_gap_t(real m) {
  if (eng_abs_t(m) > 0.25) return m - eng_log1p_t(m);
  real s = 0.0, p = m * m;
  for (int k = 2; k < 40; k++) {
    const real term = p / (real)k;
    s += k & 1 ? -term : term;
    if (eng_abs_t(term) < ENG_EPSILON_t * s) break;
    p *= m;
  }
  return s;
}

// x^a e^-x / gamma(a + 1); by Temme's form for large a, where the plain logarithms cancel
ENG_FN real eng_gamma_weight_t(real a, real x) {
  if (a < 10.0) {
    const real l = a * eng_log_t(x) - x - eng_lgamma_positive_t(a + 1.0);
    return eng_exp_t(l);
  }
  const real gap = a * eng_log1p_gap_t((x - a) / a);
  return 0.398942280401432678 / eng_hw_sqrt_t(a) * eng_exp_t(-gap - eng_stirling_t(a));
}

// P by its power series (Abramowitz and Stegun 6.5.29), for x below a + 1
ENG_FN real eng_igamma_series_t(real a, real x) {
  real s = 1.0, term = 1.0, n = a;
  for (int k = 0; k < 5000; k++) {
    n += 1.0;
    term *= x / n;
    s += term;
    if (term < ENG_EPSILON_t * s) break;
  }
  return s * eng_gamma_weight_t(a, x);
}

// Q by its continued fraction (Abramowitz and Stegun 6.5.31; Lentz's method), for x above a + 1
ENG_FN real eng_igammac_fraction_t(real a, real x) {
  real b = x + 1.0 - a, c = 1.0 / ENG_LEAST_t, d = 1.0 / b, h = d;
  for (int k = 1; k < 5000; k++) {
    const real i = (real)k, m = -i * (i - a);
    b += 2.0;
    d = m * d + b;
    d = 1.0 / (eng_abs_t(d) < ENG_LEAST_t ? ENG_LEAST_t : d);
    c = b + m / c;
    c = eng_abs_t(c) < ENG_LEAST_t ? ENG_LEAST_t : c;
    const real step = c * d;
    h *= step;
    if (eng_abs_t(step - 1.0) < ENG_EPSILON_t) break;
  }
  return h * a * eng_gamma_weight_t(a, x);
}

// Uniform expansion for large a (Temme 1979; DLMF 8.12.7): upper 1 gives Q, 0 gives P
ENG_FN real eng_igamma_uniform_t(real a, real x, int upper) {
  const real m = (x - a) / a, gap = eng_log1p_gap_t(m), eta = eng_copysign_t(eng_hw_sqrt_t(2.0 * gap), m), e = eta;
  const real c0 = -1.0 / 3.0 + e * (1.0 / 12.0 + e * (-2.0 / 135.0 + e * (1.0 / 864.0 + e * (3.527336860670194e-4 +
      e * (-1.787551440329218113e-4 + e * (3.91926317852243778e-5 + e * (-2.18544851067999216e-6 +
      e * (-1.85406221071515996e-6 + e * (8.29671134095308601e-7 + e * -1.76659527368260793e-7)))))))));
  const real c1 = -1.0 / 540.0 + e * (-1.0 / 288.0 + e * (2.6455026455026455e-3 + e * (-9.90226337448559671e-4 +
      e * (2.05761316872427984e-4 + e * (-4.01877572016460905e-7 + e * -1.80985503344899778e-5)))));
  const real c2 = 4.13359788359788360e-3 + e * (-2.68132716049382716e-3 + e * 7.71604938271604938e-4);
  const real r = eng_exp_t(-a * gap) * 0.398942280401432678 / eng_hw_sqrt_t(a) * (c0 + (c1 + c2 / a) / a);
  const real z = eta * eng_hw_sqrt_t(0.5 * a);
  return upper ? 0.5 * eng_erfc_t(z) + r : 0.5 * eng_erfc_t(-z) - r;
}

// The quantity asked for, from whichever of the two is computed without cancellation
ENG_FN real eng_incomplete_gamma_t(real a, real x, int upper) {
  if (!(a >= 0) || !(x >= 0)) return ENG_NAN_t;
  if (a == INFINITY || x == INFINITY) {
    if (a == x) return ENG_NAN_t;
    return (x > a) == (upper == 0) ? 1.0 : 0.0;
  }
  if (a == 0) return x > 0 ? (upper ? 0.0 : 1.0) : ENG_NAN_t;
  if (x == 0) return upper ? 1.0 : 0.0;
  if (a > 1.0e4 && eng_abs_t(x - a) < 0.4 * a) return eng_igamma_uniform_t(a, x, upper);
  if (x < 1.1 && upper) {
    // Q = 1 - x^a / gamma(a + 1) (1 + a sum (-x)^n / ((a + n) n!)), Abramowitz and Stegun 6.5.29
    real s = 0.0, term = 1.0;
    for (int k = 1; k < 60; k++) {
      term *= -x / (real)k;
      s += term / (a + (real)k);
      if (eng_abs_t(term) < ENG_EPSILON_t * eng_abs_t(s)) break;
    }
    const real u = eng_expm1_t(a * eng_log_t(x) - eng_lgamma_positive_t(1.0 + a));
    const real q = -(u + (1.0 + u) * a * s);
    if (q > 0.05) return q;
  }
  if (x > a + 1.0 || (upper && x > 1.1 && x > a)) {
    const real q = eng_igammac_fraction_t(a, x);
    return upper ? q : 1.0 - q;
  }
  const real p = eng_igamma_series_t(a, x);
  return upper ? 1.0 - p : p;
}

ENG_FN real eng_igamma_t(real a, real x) { return eng_incomplete_gamma_t(a, x, 0); }

ENG_FN real eng_igammac_t(real a, real x) { return eng_incomplete_gamma_t(a, x, 1); }
