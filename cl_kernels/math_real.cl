// Functions written once for float32 and float64. `real` stands for the type, `bits` for the integer of its size, `_t` for
// the suffix _f32 or _f64; constants get the type's suffix (engine/graph/mathlib.py).

#define ENG_SIGN_t ((bits)1 << (sizeof(bits) * 8 - 1))

#define ENG_NAN_t ((real)as_float(0x7fc00000))

ENG_FN real eng_abs_t(real x) { return as_real(as_bits(x) & ~ENG_SIGN_t); }

ENG_FN real eng_sign_t(real x) { return x > 0 ? 1.0 : x < 0 ? -1.0 : x == 0 ? 0.0 : x; }

ENG_FN int eng_signbit_t(real x) { return as_bits(x) < 0; }

ENG_FN real eng_copysign_t(real x, real y) { return as_real((as_bits(x) & ~ENG_SIGN_t) | (as_bits(y) & ENG_SIGN_t)); }

ENG_FN real eng_max_t(real a, real b) { return (a > b || a != a) ? a : b; }

ENG_FN real eng_min_t(real a, real b) { return (a < b || a != a) ? a : b; }

ENG_FN real eng_sqrt_t(real x) { return sqrt(x); }

ENG_FN real eng_rsqrt_t(real x) { return 1.0 / sqrt(x); }

ENG_FN real eng_floor_t(real x) { return floor(x); }

ENG_FN real eng_ceil_t(real x) { return ceil(x); }

ENG_FN real eng_trunc_t(real x) { return trunc(x); }

ENG_FN real eng_round_t(real x) { return rint(x); }

ENG_FN real eng_nextafter_t(real x, real y) {
  const bits step = ((y > x) == (x > 0)) ? 1 : -1;
  const real z = x == 0 ? as_real((as_bits(y) & ENG_SIGN_t) | 1) : as_real(as_bits(x) + step);
  return (x != x || y != y) ? x + y : x == y ? y : z;
}

// -- division with a whole quotient ---------------------------------------------------------------------------------------

ENG_FN real eng_fmod_t(real a, real b) { return fmod(a, b); }

ENG_FN real eng_remainder_t(real a, real b) {
  const real m = eng_fmod_t(a, b);
  return (m != 0 && ((b < 0) != (m < 0))) ? m + b : m;
}

ENG_FN real eng_floor_divide_t(real a, real b) {
  const real m = eng_fmod_t(a, b), d = (a - m) / b - ((m != 0 && ((b < 0) != (m < 0))) ? 1.0 : 0.0), f = floor(d);
  const real whole = d - f > 0.5 ? f + 1.0 : f;
  return b == 0 ? a / b : d == 0 ? eng_copysign_t(0.0, a / b) : whole;
}

// -- exponentials and logarithms ----------------------------------------------------------------------------------------

ENG_FN real eng_expm1_t(real x) {
  const real y = 2.0 * eng_half_expm1_t(x);
  return eng_abs_t(x) < ENG_TINY_t ? x : y;
}

ENG_FN real eng_tanh_t(real x) {
  const real a = eng_abs_t(x), b = a > 20.0 ? 20.0 : a;
  const real h = eng_half_expm1_t(2.0 * b), y = h / (h + 1.0);
  return eng_copysign_t(a < ENG_TINY_t ? a : y, x);
}

ENG_FN real eng_sigmoid_t(real x) {
  const real e = eng_exp_t(-eng_abs_t(x));
  return (x < 0 ? e : 1.0) / (1.0 + e);
}

ENG_FN real eng_sinh_t(real x) {
  const real a = eng_abs_t(x), h = eng_half_expm1_t(a), y = h + h / (2.0 * h + 1.0);
  return eng_copysign_t(a < ENG_TINY_t ? a : a > 40.0 ? h : y, x);
}

ENG_FN real eng_cosh_t(real x) {
  const real h = eng_exp_by_t(eng_abs_t(x), -1);
  return h + 0.25 / h;
}

// what the logarithms give at the ends of their domain
#define eng_log_ends_t(x, y) ((x) > 0 ? ((x) < INFINITY ? (y) : (real)INFINITY) : (x) == 0 ? -(real)INFINITY : ENG_NAN_t)

ENG_FN real eng_asinh_t(real x) {
  const real a = eng_abs_t(x), q = a * a;
  const real big = eng_log_t(a) + 0.693147180559945309, y = eng_log1p_t(a + q / (1.0 + sqrt(1.0 + q)));
  return eng_copysign_t(a > 1.0e9 ? big : y, x);
}

ENG_FN real eng_acosh_t(real x) {
  const real t = x - 1.0;
  const real big = eng_log_t(x) + 0.693147180559945309, y = eng_log1p_t(t + sqrt(t * (t + 2.0)));
  return x > 1.0e9 ? big : x < 1.0 ? ENG_NAN_t : y;
}

ENG_FN real eng_atanh_t(real x) {
  const real a = eng_abs_t(x);
  return eng_copysign_t(0.5 * eng_log1p_t(2.0 * a / (1.0 - a)), x);
}

// log(e^x + e^y)
ENG_FN real eng_log_add_t(real x, real y) {
  const real low = x < y ? x : y, high = x < y ? y : x, r = high + eng_log1p_t(eng_exp_t(low - high));
  return (x != x || y != y) ? x + y : (low == high && high - high != 0) ? low : r;
}

// -- circular functions -------------------------------------------------------------------------------------------------

ENG_FN real eng_atan_t(real x) {
  const real a = eng_abs_t(x), z = a > 1.0 ? 1.0 / a : a, q = z * z, p = z * q * eng_atan_poly_t(q);
  return eng_copysign_t(a > 1.0 ? ENG_HALF_PI_t - (z + (p - ENG_HALF_PI_LOW_t)) : z + p, x);
}

ENG_FN real eng_atan2_t(real y, real x) {
  const real a = eng_abs_t(y), b = eng_abs_t(x), big = a > b ? a : b, small = a > b ? b : a;
  const real z = big == small ? (big == 0 ? 0.0 : 1.0) : small / big, q = z * z, p = z * q * eng_atan_poly_t(q);
  const real t = a > b ? ENG_HALF_PI_t - (z + (p - ENG_HALF_PI_LOW_t)) : z + p;
  const real u = as_bits(x) < 0 ? 2.0 * ENG_HALF_PI_t - (t - 2.0 * ENG_HALF_PI_LOW_t) : t;
  return (x != x || y != y) ? x + y : eng_copysign_t(u, y);
}

ENG_FN real eng_asin_t(real x) {
  const real a = eng_abs_t(x), h = 0.5 * (1.0 - a), q = a > 0.5 ? h : x * x, z = a > 0.5 ? sqrt(h) : a;
  const real y = z + z * q * eng_asin_poly_t(q);
  return eng_copysign_t(a > 0.5 ? ENG_HALF_PI_t - (2.0 * y - ENG_HALF_PI_LOW_t) : y, x);
}

ENG_FN real eng_acos_t(real x) {
  const real a = eng_abs_t(x), h = 0.5 * (1.0 - a), q = a > 0.5 ? h : x * x, z = a > 0.5 ? sqrt(h) : x;
  const real y = z + z * q * eng_asin_poly_t(q);
  const real far = x < 0 ? 2.0 * ENG_HALF_PI_t - (2.0 * y - 2.0 * ENG_HALF_PI_LOW_t) : 2.0 * y;
  return a > 0.5 ? far : ENG_HALF_PI_t - (y - ENG_HALF_PI_LOW_t);
}

// -- error functions ----------------------------------------------------------------------------------------------------

ENG_FN real eng_erfc_t(real x) {
  const real a = eng_abs_t(x), b = a > 28.0 ? 28.0 : a;
  const real y = eng_erfc_scaled_t(b) * eng_exp_minus_square_t(b);
  return x < 0 ? 2.0 - y : y;
}

// -- lengths ------------------------------------------------------------------------------------------------------------

ENG_FN real eng_hypot_t(real x, real y) {
  const real a = eng_abs_t(x), b = eng_abs_t(y), m = a > b ? a : b;
  const real up = m > ENG_HUGE_t ? 1.0 / ENG_SCALE_t : m < 1.0 / ENG_HUGE_t ? ENG_SCALE_t : 1.0;
  const real down = m > ENG_HUGE_t ? ENG_SCALE_t : m < 1.0 / ENG_HUGE_t ? 1.0 / ENG_SCALE_t : 1.0;
  const real u = a * up, v = b * up, r = sqrt(u * u + v * v) * down;
  return (a == INFINITY || b == INFINITY) ? (real)INFINITY : r;
}

// -- complex numbers -----------------------------------------------------------------------------------------------------

ENG_FN real2 eng_cmul_c(real2 a, real2 b) { return (real2)(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x); }

// Smith 1962: scaled by the larger part of the divisor
ENG_FN real2 eng_cdiv_c(real2 a, real2 b) {
  const int wide = eng_abs_t(b.x) >= eng_abs_t(b.y);
  const real p = wide ? b.x : b.y, q = wide ? b.y : b.x, r = p == 0 && q == 0 ? 0.0 : q / p, d = p + q * r;
  const real u = wide ? a.x + a.y * r : a.x * r + a.y, v = wide ? a.y - a.x * r : a.y * r - a.x;
  return (real2)(u / d, v / d);
}
