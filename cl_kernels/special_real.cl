// Special functions: gamma family, inverse error functions, zeta. For `real`, `bits` and `_t` see math_real.cl.

#define ENG_PI_t (2.0 * ENG_HALF_PI_t)

// -- gamma functions -----------------------------------------------------------------------------------------------------

// log(gamma(x)) - ((x - 1/2) log(x) - x + log(2 pi) / 2): Stirling's series (Abramowitz and Stegun 6.1.41), x >= 8
ENG_FN real eng_stirling_t(real x) {
  const real r = 1.0 / x, q = r * r;
  return r * (1.0 / 12.0 - q * (1.0 / 360.0 - q * (1.0 / 1260.0 - q * (1.0 / 1680.0 - q * (1.0 / 1188.0 -
         q * (691.0 / 360360.0 - q * (1.0 / 156.0 - q * (3617.0 / 122400.0))))))));
}

// log(gamma(x)) for x > 0: brought into [3/2, 5/2] by gamma(x + 1) = x gamma(x), or Stirling
ENG_FN real eng_lgamma_positive_t(real x) {
  if (x >= 8.0) {
    const real l = eng_log_t(x);
    return l == INFINITY ? l : (x - 0.5) * (l - 1.0) + (0.418938533204672742 + eng_stirling_t(x));
  }
  real p = 1.0, z = x - 2.0, more = 0.0;
  if (x < 0.5) {
    z = x;
    more = -(eng_log_t(x) + eng_log1p_t(x));
  } else if (x < 1.5) {
    z = x - 1.0;
    more = -eng_log1p_t(z);
  } else {
    while (z > 0.5) {
      p *= z + 1.0;
      z -= 1.0;
    }
    more = p == 1.0 ? 0.0 : eng_log_t(p);
  }
  return z * eng_c_lgamma_2_t(2.0 * z) + more;
}

// sin(pi x), exact at whole numbers and halves
ENG_FN real eng_sin_pi_t(real x) {
  const real n = eng_hw_rint_t(x), r = x - n, s = eng_sin_t(ENG_PI_t * r), h = 0.5 * n;
  return eng_hw_floor_t(h) != h ? -s : s;
}

// log |gamma(x)|; reflection for x < 0 (Abramowitz and Stegun 6.1.17)
ENG_FN real eng_lgamma_t(real x) {
  if (x != x) return x;
  if (x - x != 0) return INFINITY;
  const real a = eng_abs_t(x);
  if (x > 0) return eng_lgamma_positive_t(x);
  if (eng_hw_floor_t(x) == x) return INFINITY;
  if (a < ENG_TINY_t) return -eng_log_t(a);
  return eng_log_t(ENG_PI_t / eng_abs_t(x * eng_sin_pi_t(x))) - eng_lgamma_positive_t(a);
}

// Recurrence to x >= 10, then Abramowitz and Stegun 6.3.18
ENG_FN real eng_digamma_t(real x) {
  if (x == 0) return eng_copysign_t(INFINITY, -x);
  real r = 0.0;
  if (x < 0) {
    const real n = eng_hw_rint_t(x), d = x - n;
    if (d == 0 || x - x != 0) return ENG_NAN_t;
    r = d == 0.5 || d == -0.5 ? 0.0 : -ENG_PI_t / eng_tan_t(ENG_PI_t * d);
    x = 1.0 - x;
  }
  if (x - x != 0) return x;
  while (x < 10.0) {
    r -= 1.0 / x;
    x += 1.0;
  }
  const real q = 1.0 / (x * x);
  const real tail = q * (1.0 / 12.0 - q * (1.0 / 120.0 - q * (1.0 / 252.0 - q * (1.0 / 240.0 - q * (1.0 / 132.0 -
                    q * (691.0 / 32760.0 - q * (1.0 / 12.0)))))));
  return eng_log_t(x) - 0.5 / x - tail + r;
}

// Hurwitz zeta: terms up to q + k > 9, then Euler and Maclaurin (Abramowitz and Stegun 23.1.30)
ENG_FN real eng_zeta_t(real x, real q) {
  if (x == 1.0) return INFINITY;
  if (!(x > 1.0) || q != q) return ENG_NAN_t;
  if (q <= 0) {
    if (q == eng_hw_floor_t(q)) return INFINITY;
    if (x != eng_hw_floor_t(x)) return ENG_NAN_t;
  }
  real s = eng_pow_t(q, -x), a = q, b = 0.0;
  int i = 0;
  while (i < 9 || a <= 9.0) {
    i += 1;
    a += 1.0;
    b = eng_pow_t(a, -x);
    s += b;
    if (eng_abs_t(b) < ENG_EPSILON_t * eng_abs_t(s) || i > 60000) return s;
  }
  s += b * a / (x - 1.0) - 0.5 * b;
  // B_2j / (2j)! x (x + 1) ... (x + 2j - 2) a^(1 - x - 2j)
  real f = x * b / a, k = x;
  const real w = 1.0 / (a * a);
  const real sums[12] = {1.0 / 12.0, -1.0 / 720.0, 1.0 / 30240.0, -1.0 / 1209600.0, 1.0 / 47900160.0,
                         -5.28419013868749318e-10, 1.33825365306846788e-11, -3.38968029632258287e-13,
                         8.58606205627784456e-15, -2.17486869855806187e-16, 5.50900282836022952e-18,
                         -1.39544646858125233e-19};
  for (int j = 0; j < 12; j++) {
    const real term = sums[j] * f;
    s += term;
    if (eng_abs_t(term) < ENG_EPSILON_t * eng_abs_t(s)) break;
    f *= (k + 1.0) * (k + 2.0) * w;
    k += 2.0;
  }
  return s;
}

// -- inverse normal distribution (Wichura 1988, AS 241) ------------------------------------------------------------------

// in q = p - 1/2, |q| <= 0.425
ENG_FN real eng_ndtri_middle_t(real q) {
  const real r = 0.180625 - q * q;
  const real a = 3.3871328727963666080 + r * (133.14166789178437745 + r * (1971.5909503065514427 + r * (
      13731.693765509461125 + r * (45921.953931549871457 + r * (67265.770927008700853 + r * (33430.575583588128105 +
      r * 2509.0809287301226727))))));
  const real b = 1.0 + r * (42.313330701600911252 + r * (687.18700749205790830 + r * (5394.1960214247511077 + r * (
      21213.794301586595867 + r * (39307.895800092710610 + r * (28729.085735721942674 + r * 5226.4952788528545610))))));
  return q * a / b;
}

// in r = sqrt(-log(p)) for small p: the quantile of 1 - p
ENG_FN real eng_ndtri_tail_t(real r) {
  real a, b;
  if (r <= 5.0) {
    r -= 1.6;
    a = 1.42343711074968357734 + r * (4.63033784615654529590 + r * (5.76949722146069140550 + r * (3.64784832476320460504 +
        r * (1.27045825245236838258 + r * (0.241780725177450611770 + r * (2.27238449892691845833e-2 +
        r * 7.74545014278341407640e-4))))));
    b = 1.0 + r * (2.05319162663775882187 + r * (1.67638483018380384940 + r * (0.689767334985100004550 + r * (
        0.148103976427480074590 + r * (1.51986665636164571966e-2 + r * (5.47593808499534494600e-4 +
        r * 1.05075007164441684324e-9))))));
  } else {
    r -= 5.0;
    a = 6.65790464350110377720 + r * (5.46378491116411436990 + r * (1.78482653991729133580 + r * (0.296560571828504891230 +
        r * (2.65321895265761230930e-2 + r * (1.24266094738807843860e-3 + r * (2.71155556874348757815e-5 +
        r * 2.01033439929228813265e-7))))));
    b = 1.0 + r * (0.599832206555887937690 + r * (0.136929880922735805310 + r * (1.48753612908506148525e-2 + r * (
        7.86869131145613259100e-4 + r * (1.84631831751005468180e-5 + r * (1.42151175831644588870e-7 +
        r * 2.04426310338993978564e-15))))));
  }
  return a / b;
}

ENG_FN real eng_ndtri_t(real p) {
  if (!(p >= 0 && p <= 1.0)) return ENG_NAN_t;
  const real q = p - 0.5;
  if (eng_abs_t(q) <= 0.425) return eng_ndtri_middle_t(q);
  if (p == 0 || p == 1.0) return p == 0 ? -INFINITY : INFINITY;
  const real y = eng_ndtri_tail_t(eng_hw_sqrt_t(-eng_log_t(q < 0 ? p : 1.0 - p)));
  return q < 0 ? -y : y;
}

// erfinv(x) = ndtri((x + 1) / 2) / sqrt(2), from x itself
ENG_FN real eng_erfinv_t(real x) {
  const real a = eng_abs_t(x);
  if (!(a <= 1.0)) return ENG_NAN_t;
  if (a <= 0.85) return 0.707106781186547524 * eng_ndtri_middle_t(0.5 * x);
  if (a == 1.0) return eng_copysign_t(INFINITY, x);
  return eng_copysign_t(0.707106781186547524 * eng_ndtri_tail_t(eng_hw_sqrt_t(-eng_log_t(0.5 * (1.0 - a)))), x);
}

// -- error functions -----------------------------------------------------------------------------------------------------

ENG_FN real eng_erfcx_t(real x) {
  if (x == INFINITY) return 0.0;
  const real a = eng_abs_t(x);
  if (x >= 0) return a > 1.0e15 ? 0.564189583547756287 / a : eng_erfc_scaled_t(a);
  if (x != x) return x;
  return a > 27.0 ? (real)INFINITY : 2.0 / eng_exp_minus_square_t(a, 1.0) - eng_erfc_scaled_t(a);
}

// erfc(a / sqrt(2)) / 2 for a >= 0, the exponent from a itself
ENG_FN real eng_normal_tail_t(real a) {
  const real b = a > 40.0 ? 40.0 : a;
  return 0.5 * eng_erfc_scaled_t(0.707106781186547524 * b) * eng_exp_minus_square_t(b, 0.5);
}

// normal distribution function
ENG_FN real eng_ndtr_t(real x) {
  const real y = eng_normal_tail_t(eng_abs_t(x)), mirrored = 1.0 - y;
  return x > 0 ? mirrored : y;
}

// its logarithm
ENG_FN real eng_log_ndtr_t(real x) {
  if (x >= 0) return eng_log1p_t(-eng_normal_tail_t(x));
  if (x > -1.0) return eng_log_t(eng_normal_tail_t(-x));
  if (x != x || x == -INFINITY) return x;
  return eng_log_t(0.5 * eng_erfcx_t(-0.707106781186547524 * x)) - 0.5 * x * x;
}
