// Elementary functions of complex numbers, built from the real ones (engine/graph/mathlib.py: `real2` becomes float2 or
// double2, the suffix `_c` c64 or c128). Branch cuts as in C99: where a component is a signed zero its sign decides.

// |z| without overflow
ENG_FN real eng_abs_c(real2 z) { return eng_hypot_t(z.x, z.y); }

ENG_FN real eng_angle_c(real2 z) { return eng_atan2_t(z.y, z.x); }

ENG_FN real2 eng_sgn_c(real2 z) {
  const real r = eng_abs_c(z);
  return r == 0 ? (real2)(0, 0) : z / r;
}

ENG_FN real2 eng_exp_c(real2 z) {
  const real r = eng_exp_t(z.x);
  return z.y == 0 ? (real2)(r, z.y) : (real2)(r * eng_cos_t(z.y), r * eng_sin_t(z.y));
}

ENG_FN real2 eng_exp2_c(real2 z) { return eng_exp_c(z * 0.693147180559945309); }

// exp(z) - 1 without cancellation: e^x cos y - 1 = (e^x - 1) cos y - 2 sin^2(y / 2)
ENG_FN real2 eng_expm1_c(real2 z) {
  const real s = eng_sin_t(z.y * 0.5);
  return (real2)(eng_expm1_t(z.x) * eng_cos_t(z.y) - 2.0 * s * s, eng_exp_t(z.x) * eng_sin_t(z.y));
}

ENG_FN real2 eng_log_c(real2 z) { return (real2)(eng_log_t(eng_abs_c(z)), eng_angle_c(z)); }

ENG_FN real2 eng_log2_c(real2 z) { return eng_log_c(z) * 1.44269504088896341; }

ENG_FN real2 eng_log10_c(real2 z) { return eng_log_c(z) * 0.434294481903251828; }

ENG_FN real2 eng_log1p_c(real2 z) {
  const real2 w = (real2)(z.x + 1.0, z.y);
  const real small = 0.5 * eng_log1p_t(z.x * (z.x + 2.0) + z.y * z.y), far = eng_log_t(eng_abs_c(w));
  return (real2)(eng_abs_c(z) < 0.5 ? small : far, eng_angle_c(w));
}

// Half of |z| + |x| is the square of the larger component of the root (Kahan 1987).
ENG_FN real2 eng_sqrt_c(real2 z) {
  const real scale = eng_abs_t(z.x) > 1.0e30 || eng_abs_t(z.y) > 1.0e30 ? 0.0625 : 1.0;
  const real2 w = z * scale;
  const real t = eng_sqrt_t(0.5 * (eng_abs_c(w) + eng_abs_t(w.x))), u = t == 0 ? t : eng_abs_t(w.y) / (2.0 * t);
  const real back = scale == 1.0 ? 1.0 : 4.0;
  return (w.x >= 0 ? (real2)(t, eng_copysign_t(u, z.y)) : (real2)(u, eng_copysign_t(t, z.y))) * back;
}

ENG_FN real2 eng_rsqrt_c(real2 z) { return eng_cdiv_c((real2)(1, 0), eng_sqrt_c(z)); }

ENG_FN real2 eng_sin_c(real2 z) {
  return (real2)(eng_sin_t(z.x) * eng_cosh_t(z.y), eng_cos_t(z.x) * eng_sinh_t(z.y));
}

ENG_FN real2 eng_cos_c(real2 z) {
  return (real2)(eng_cos_t(z.x) * eng_cosh_t(z.y), -eng_sin_t(z.x) * eng_sinh_t(z.y));
}

ENG_FN real2 eng_sinh_c(real2 z) {
  return (real2)(eng_sinh_t(z.x) * eng_cos_t(z.y), eng_cosh_t(z.x) * eng_sin_t(z.y));
}

ENG_FN real2 eng_cosh_c(real2 z) {
  return (real2)(eng_cosh_t(z.x) * eng_cos_t(z.y), eng_sinh_t(z.x) * eng_sin_t(z.y));
}

// (sinh x cosh x + i sin y cos y) / (sinh^2 x + cos^2 y); far from the imaginary axis tanh is +-1
ENG_FN real2 eng_tanh_c(real2 z) {
  const real s = eng_sinh_t(z.x), c = eng_cos_t(z.y), d = s * s + c * c;
  const real2 near = (real2)(s * eng_cosh_t(z.x) / d, eng_sin_t(z.y) * c / d);
  return eng_abs_t(z.x) > 20.0 ? (real2)(eng_copysign_t(1.0, z.x), eng_copysign_t(0.0, z.y)) : near;
}

ENG_FN real2 eng_tan_c(real2 z) {
  const real2 w = eng_tanh_c((real2)(-z.y, z.x));
  return (real2)(w.y, -w.x);
}

ENG_FN real2 eng_sigmoid_c(real2 z) {
  const real2 e = eng_exp_c(-z);
  return eng_cdiv_c((real2)(1, 0), (real2)(e.x + 1.0, e.y));
}

// Kahan 1987: acos and asin from the roots of 1 - z and 1 + z
ENG_FN real2 eng_asin_c(real2 z) {
  const real2 a = eng_sqrt_c((real2)(1.0 - z.x, -z.y)), b = eng_sqrt_c((real2)(1.0 + z.x, z.y));
  return (real2)(eng_atan2_t(z.x, eng_cmul_c(a, b).x), eng_asinh_t(a.x * b.y - a.y * b.x));
}

ENG_FN real2 eng_acos_c(real2 z) {
  const real2 a = eng_sqrt_c((real2)(1.0 - z.x, -z.y)), b = eng_sqrt_c((real2)(1.0 + z.x, z.y));
  return (real2)(2.0 * eng_atan2_t(a.x, b.x), eng_asinh_t(b.x * a.y - b.y * a.x));
}

ENG_FN real2 eng_acosh_c(real2 z) {
  const real2 a = eng_sqrt_c((real2)(z.x - 1.0, z.y)), b = eng_sqrt_c((real2)(z.x + 1.0, z.y));
  return (real2)(eng_asinh_t(a.x * b.x + a.y * b.y), 2.0 * eng_atan2_t(a.y, b.x));
}

ENG_FN real2 eng_asinh_c(real2 z) {
  const real2 w = eng_asin_c((real2)(-z.y, z.x));
  return (real2)(w.y, -w.x);
}

// Re = log1p(4x / ((1 - x)^2 + y^2)) / 4, Im = atan2(2y, (1 - x)(1 + x) - y^2) / 2
ENG_FN real2 eng_atanh_c(real2 z) {
  const real a = eng_abs_t(z.x), u = 1.0 - a, d = u * u + z.y * z.y;
  const real re = 0.25 * eng_log1p_t(4.0 * a / d);
  return (real2)(eng_copysign_t(re, z.x), 0.5 * eng_atan2_t(2.0 * z.y, u * (1.0 + a) - z.y * z.y));
}

ENG_FN real2 eng_atan_c(real2 z) {
  const real2 w = eng_atanh_c((real2)(-z.y, z.x));
  return (real2)(w.y, -w.x);
}

// exp(w log z); 0^0 is 1, as 0^w is 0 where Re w > 0
ENG_FN real2 eng_pow_c(real2 z, real2 w) {
  const real2 r = eng_exp_c(eng_cmul_c(w, eng_log_c(z)));
  const real2 at_zero = w.x == 0 && w.y == 0 ? (real2)(1, 0) : (w.x > 0 ? (real2)(0, 0) : r);
  return z.x == 0 && z.y == 0 ? at_zero : r;
}
