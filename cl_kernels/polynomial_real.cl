// Orthogonal polynomials of degree n by their recurrences (Abramowitz and Stegun 22.7). For `real` and `_t` see math_real.cl.

// p(k + 1) = slope p(k) - p(k - 1) from p(0) = 1 and p(1) = first: the four kinds of Chebyshev
ENG_FN real eng_chebyshev_t(real slope, real first, real n) {
  if (!(n > -1)) return 0.0;
  const int degree = (int)n;
  if (degree == 0) return 1.0;
  real p = 1.0, q = first;
  for (int k = 1; k < degree; k++) {
    const real r = slope * q - p;
    p = q;
    q = r;
  }
  return q;
}

ENG_FN real eng_chebyshev_polynomial_t_t(real x, real n) { return eng_chebyshev_t(2.0 * x, x, n); }

ENG_FN real eng_chebyshev_polynomial_u_t(real x, real n) { return eng_chebyshev_t(2.0 * x, 2.0 * x, n); }

ENG_FN real eng_chebyshev_polynomial_v_t(real x, real n) { return eng_chebyshev_t(2.0 * x, 2.0 * x - 1.0, n); }

ENG_FN real eng_chebyshev_polynomial_w_t(real x, real n) { return eng_chebyshev_t(2.0 * x, 2.0 * x + 1.0, n); }

ENG_FN real eng_hermite_polynomial_h_t(real x, real n) {
  if (!(n > -1)) return 0.0;
  const int degree = (int)n;
  real p = 0.0, q = 1.0;
  for (int k = 0; k < degree; k++) {
    const real r = 2.0 * x * q - 2.0 * (real)k * p;
    p = q;
    q = r;
  }
  return q;
}

ENG_FN real eng_hermite_polynomial_he_t(real x, real n) {
  if (!(n > -1)) return 0.0;
  const int degree = (int)n;
  real p = 0.0, q = 1.0;
  for (int k = 0; k < degree; k++) {
    const real r = x * q - (real)k * p;
    p = q;
    q = r;
  }
  return q;
}

ENG_FN real eng_laguerre_polynomial_l_t(real x, real n) {
  if (!(n > -1)) return 0.0;
  const int degree = (int)n;
  real p = 0.0, q = 1.0;
  for (int k = 0; k < degree; k++) {
    const real r = (((real)(2 * k + 1) - x) * q - (real)k * p) / (real)(k + 1);
    p = q;
    q = r;
  }
  return q;
}

ENG_FN real eng_legendre_polynomial_p_t(real x, real n) {
  if (!(n > -1)) return 0.0;
  const int degree = (int)n;
  real p = 0.0, q = 1.0;
  for (int k = 0; k < degree; k++) {
    const real r = ((real)(2 * k + 1) * x * q - (real)k * p) / (real)(k + 1);
    p = q;
    q = r;
  }
  return q;
}
