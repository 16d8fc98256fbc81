// Bessel and Airy functions from Chebyshev series (series_f32.cl, series_f64.cl). For `real` and `_t` see math_real.cl.

// -- modified ------------------------------------------------------------------------------------------------------------

ENG_FN real eng_i0e_t(real x) {
  const real a = eng_abs_t(x);
  if (a <= 8.0) return eng_c_i0_near_t(0.25 * a - 1.0);
  return eng_c_i0_far_t(16.0 / a - 1.0) / eng_hw_sqrt_t(a);
}

ENG_FN real eng_i1e_t(real x) {
  const real a = eng_abs_t(x);
  if (a <= 8.0) return x * eng_c_i1_near_t(0.25 * a - 1.0);
  return eng_copysign_t(eng_c_i1_far_t(16.0 / a - 1.0) / eng_hw_sqrt_t(a), x);
}

// e^a * y where only the product need be finite
ENG_FN real eng_grown_t(real a, real y) {
  const real e = eng_exp_t(0.5 * a);
  return (e * y) * e;
}

ENG_FN real eng_i0_t(real x) { return x - x != 0 ? ENG_NAN_t : eng_grown_t(eng_abs_t(x), eng_i0e_t(x)); }

ENG_FN real eng_i1_t(real x) { return x - x != 0 ? ENG_NAN_t : eng_grown_t(eng_abs_t(x), eng_i1e_t(x)); }

ENG_FN real eng_modified_bessel_i0_t(real x) { return eng_i0_t(x); }

ENG_FN real eng_modified_bessel_i1_t(real x) { return eng_i1_t(x); }

ENG_FN real eng_scaled_modified_bessel_k0_t(real x) {
  if (x == 0) return INFINITY;
  if (!(x > 0)) return ENG_NAN_t;
  if (x == INFINITY) return 0.0;
  if (x > 2.0) return eng_c_k0_far_t(4.0 / x - 1.0) / eng_hw_sqrt_t(x);
  return (eng_c_k0_near_t(0.5 * x * x - 1.0) - eng_log_t(0.5 * x) * eng_i0_t(x)) * eng_exp_t(x);
}

ENG_FN real eng_scaled_modified_bessel_k1_t(real x) {
  if (x == 0) return INFINITY;
  if (!(x > 0)) return ENG_NAN_t;
  if (x == INFINITY) return 0.0;
  if (x > 2.0) return eng_c_k1_far_t(4.0 / x - 1.0) / eng_hw_sqrt_t(x);
  return (eng_c_k1_near_t(0.5 * x * x - 1.0) / x + eng_log_t(0.5 * x) * eng_i1_t(x)) * eng_exp_t(x);
}

ENG_FN real eng_modified_bessel_k0_t(real x) {
  if (x > 2.0) return eng_exp_t(-x) * eng_scaled_modified_bessel_k0_t(x);
  if (x == 0) return INFINITY;
  return x > 0 ? eng_c_k0_near_t(0.5 * x * x - 1.0) - eng_log_t(0.5 * x) * eng_i0_t(x) : ENG_NAN_t;
}

ENG_FN real eng_modified_bessel_k1_t(real x) {
  if (x > 2.0) return eng_exp_t(-x) * eng_scaled_modified_bessel_k1_t(x);
  if (x == 0) return INFINITY;
  return x > 0 ? eng_c_k1_near_t(0.5 * x * x - 1.0) / x + eng_log_t(0.5 * x) * eng_i1_t(x) : ENG_NAN_t;
}

// -- first and second kind: beyond 8 amplitude and phase (Abramowitz and Stegun 9.2.5). At infinity NaN, as PyTorch --

// sqrt(2 / (pi x)) (P cos(x - shift) - Q sin(x - shift)) with the sines of x itself: u, v are cosine and sine times sqrt(2)
ENG_FN real eng_wave_t(real x, real p, real q, real u, real v) {
  return 0.564189583547756287 / eng_hw_sqrt_t(x) * (p * u - q * v);
}

ENG_FN real eng_bessel_j0_t(real x) {
  const real a = eng_abs_t(x);
  if (a == INFINITY) return ENG_NAN_t;
  if (a <= 8.0) return eng_c_j0_near_t(a * a * 0.03125 - 1.0);
  const real z = 8.0 / a, y = 2.0 * z * z - 1.0, s = eng_sin_t(a), c = eng_cos_t(a);
  return eng_wave_t(a, eng_c_j0_p_t(y), z * eng_c_j0_q_t(y), c + s, s - c);
}

ENG_FN real eng_bessel_j1_t(real x) {
  const real a = eng_abs_t(x);
  if (a == INFINITY) return ENG_NAN_t;
  if (a <= 8.0) return x * eng_c_j1_near_t(a * a * 0.03125 - 1.0);
  const real z = 8.0 / a, y = 2.0 * z * z - 1.0, s = eng_sin_t(a), c = eng_cos_t(a);
  const real r = eng_wave_t(a, eng_c_j1_p_t(y), z * eng_c_j1_q_t(y), s - c, -(s + c));
  return x < 0 ? -r : r;
}

ENG_FN real eng_bessel_y0_t(real x) {
  if (x == 0) return -INFINITY;
  if (!(x > 0)) return ENG_NAN_t;
  if (x == INFINITY) return ENG_NAN_t;
  if (x <= 8.0) return eng_c_y0_near_t(x * x * 0.03125 - 1.0) + 0.636619772367581343 * eng_log_t(x) * eng_bessel_j0_t(x);
  const real z = 8.0 / x, y = 2.0 * z * z - 1.0, s = eng_sin_t(x), c = eng_cos_t(x);
  return eng_wave_t(x, eng_c_j0_p_t(y), -z * eng_c_j0_q_t(y), s - c, c + s);
}

ENG_FN real eng_bessel_y1_t(real x) {
  if (x == 0) return -INFINITY;
  if (!(x > 0)) return ENG_NAN_t;
  if (x == INFINITY) return ENG_NAN_t;
  if (x <= 8.0) {
    return x * eng_c_y1_near_t(x * x * 0.03125 - 1.0) +
           0.636619772367581343 * (eng_log_t(x) * eng_bessel_j1_t(x) - 1.0 / x);
  }
  const real z = 8.0 / x, y = 2.0 * z * z - 1.0, s = eng_sin_t(x), c = eng_cos_t(x);
  return eng_wave_t(x, eng_c_j1_p_t(y), -z * eng_c_j1_q_t(y), -(s + c), s - c);
}

ENG_FN real eng_spherical_bessel_j0_t(real x) {
  const real a = eng_abs_t(x), q = x * x;
  if (a == INFINITY) return 0.0;
  if (a < 0.1) return 1.0 - q * (1.0 / 6.0 - q * (1.0 / 120.0 - q * (1.0 / 5040.0 - q * (1.0 / 362880.0))));
  return eng_sin_t(x) / x;
}

// -- Airy: near 0 as it is, to the right decaying, to the left amplitude and phase (Abramowitz and Stegun 10.4.59, 60) --

ENG_FN real eng_airy_ai_t(real x) {
  const real a = eng_abs_t(x);
  if (x - x != 0) return ENG_NAN_t;
  if (a <= 2.0) return eng_c_airy_mid_t(0.5 * x);
  const real root = eng_hw_sqrt_t(a), quarter = eng_hw_sqrt_t(root), zeta = a * root / 1.5;
  const real s = 1.88561808316412673 / zeta;
  if (x > 0) return 0.282094791773878143 * eng_exp_t(-zeta) / quarter * eng_c_airy_far_t(2.0 * s - 1.0);
  const real y = 2.0 * s * s - 1.0, sine = eng_sin_t(zeta), cosine = eng_cos_t(zeta);
  const real wave = eng_c_airy_p_t(y) * (sine + cosine) - eng_c_airy_q_t(y) / zeta * (cosine - sine);
  return 0.398942280401432678 / quarter * wave;
}
