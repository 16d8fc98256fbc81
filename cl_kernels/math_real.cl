// Arms of a selection are plain names and conditions are joined by | and &: anything else becomes a branch, and loops with
// branches around calls or long expressions do not vectorise.
//
// Functions written once for float32 and float64. `real` stands for the type, `bits` for the integer of its size, `_t` for
// the suffix _f32 or _f64; constants get the type's suffix (engine/graph/mathlib.py).

#define ENG_SIGN_t ((bits)1 << (sizeof(bits) * 8 - 1))

#define ENG_NAN_t ((real)as_float(0x7fc00000))

// What processors have instructions for. PoCL's builtins for it hold branches or calls.
#ifdef ENGINE_PLATFORM_POCL
real __attribute__((const)) eng_hw_sqrt_t(real) __asm("llvm.sqrt.real");
#else
#define eng_hw_sqrt_t(x) sqrt(x)
#endif

#ifdef ENGINE_PLATFORM_POCL
real __attribute__((const)) eng_hw_floor_t(real) __asm("llvm.floor.real");
#else
#define eng_hw_floor_t(x) floor(x)
#endif

#ifdef ENGINE_PLATFORM_POCL
real __attribute__((const)) eng_hw_ceil_t(real) __asm("llvm.ceil.real");
#else
#define eng_hw_ceil_t(x) ceil(x)
#endif

#ifdef ENGINE_PLATFORM_POCL
real __attribute__((const)) eng_hw_trunc_t(real) __asm("llvm.trunc.real");
#else
#define eng_hw_trunc_t(x) trunc(x)
#endif

#ifdef ENGINE_PLATFORM_POCL
real __attribute__((const)) eng_hw_rint_t(real) __asm("llvm.rint.real");
#else
#define eng_hw_rint_t(x) rint(x)
#endif

#ifdef ENGINE_PLATFORM_POCL
real __attribute__((const)) eng_hw_fma_t(real, real, real) __asm("llvm.fma.real");
#else
#define eng_hw_fma_t(x, y, z) fma(x, y, z)
#endif

ENG_FN real eng_abs_t(real x) { return as_real(as_bits(x) & ~ENG_SIGN_t); }

ENG_FN real eng_sign_t(real x) { return x > 0 ? 1.0 : x < 0 ? -1.0 : x == 0 ? 0.0 : x; }

ENG_FN int eng_signbit_t(real x) { return as_bits(x) < 0; }

ENG_FN real eng_copysign_t(real x, real y) { return as_real((as_bits(x) & ~ENG_SIGN_t) | (as_bits(y) & ENG_SIGN_t)); }

ENG_FN real eng_max_t(real a, real b) { return (a > b || a != a) ? a : b; }

ENG_FN real eng_min_t(real a, real b) { return (a < b || a != a) ? a : b; }

ENG_FN real eng_sqrt_t(real x) { return eng_hw_sqrt_t(x); }

ENG_FN real eng_rsqrt_t(real x) { return 1.0 / eng_hw_sqrt_t(x); }

ENG_FN real eng_floor_t(real x) { return eng_hw_floor_t(x); }

ENG_FN real eng_ceil_t(real x) { return eng_hw_ceil_t(x); }

ENG_FN real eng_trunc_t(real x) { return eng_hw_trunc_t(x); }

ENG_FN real eng_round_t(real x) { return eng_hw_rint_t(x); }

ENG_FN real eng_nextafter_t(real x, real y) {
  const bits step = ((y > x) == (x > 0)) ? 1 : -1;
  const real z = x == 0 ? as_real((as_bits(y) & ENG_SIGN_t) | 1) : as_real(as_bits(x) + step);
  const real sum = x + y, r = x == y ? y : z;
  return ((x != x) | (y != y)) ? sum : r;
}

// -- division with a whole quotient ---------------------------------------------------------------------------------------

// One exact step where the quotient is not huge
ENG_FN real eng_fmod_by_branch_t(real a, real b) {
  const real u = eng_abs_t(a), v = eng_abs_t(b), q = eng_hw_trunc_t(u / v);
  if (!(q < ENG_WHOLE_t)) return u == INFINITY ? ENG_NAN_t : fmod(a, b);
  if (v == INFINITY) return a;
  const real r = eng_hw_fma_t(-q, v, u);
  return eng_copysign_t(r < 0 ? r + v : r, a);
}

ENG_FN real eng_remainder_t(real a, real b) {
  const real m = eng_fmod_t(a, b), up = m + b;
  return ((m != 0) & ((b < 0) != (m < 0))) ? up : m;
}

ENG_FN real eng_floor_divide_t(real a, real b) {
  const real m = eng_fmod_t(a, b), q = a / b, d = (a - m) / b - (((m != 0) & ((b < 0) != (m < 0))) ? 1.0 : 0.0);
  const real f = eng_hw_floor_t(d), whole = d - f > 0.5 ? f + 1.0 : f, r = d == 0 ? eng_copysign_t(0.0, q) : whole;
  return b == 0 ? q : r;
}

// -- exponentials and logarithms ----------------------------------------------------------------------------------------

ENG_FN real eng_expm1_t(real x) {
  const real y = 2.0 * eng_half_expm1_t(x);
  return eng_abs_t(x) < ENG_TINY_t ? x : y;
}

ENG_FN real eng_sinh_t(real x) {
  const real a = eng_abs_t(x), h = eng_half_expm1_t(a), y = h + h / (2.0 * h + 1.0);
  const real z = a > 40.0 ? h : y;
  return eng_copysign_t(a < ENG_TINY_t ? a : z, x);
}

ENG_FN real eng_cosh_t(real x) {
  const real h = eng_exp_by_t(eng_abs_t(x), -1);
  return h + 0.25 / h;
}

// what the logarithms give at the ends of their domain
ENG_FN real eng_log_ends_t(real x, real y) {
  const real low = x == 0 ? -(real)INFINITY : ENG_NAN_t, high = x < INFINITY ? y : x;
  return x > 0 ? high : low;
}

ENG_FN real eng_asinh_t(real x) {
  const real a = eng_abs_t(x), q = a * a;
  const real big = eng_log_t(a) + 0.693147180559945309, y = eng_log1p_t(a + q / (1.0 + eng_hw_sqrt_t(1.0 + q)));
  return eng_copysign_t(a > 1.0e9 ? big : y, x);
}

ENG_FN real eng_acosh_t(real x) {
  const real t = x - 1.0;
  const real big = eng_log_t(x) + 0.693147180559945309, y = eng_log1p_t(t + eng_hw_sqrt_t(t * (t + 2.0)));
  const real r = x > 1.0e9 ? big : y;
  return x < 1.0 ? ENG_NAN_t : r;
}

ENG_FN real eng_atanh_t(real x) {
  const real a = eng_abs_t(x);
  return eng_copysign_t(0.5 * eng_log1p_t(2.0 * a / (1.0 - a)), x);
}

// log(e^x + e^y)
ENG_FN real eng_log_add_t(real x, real y) {
  const real low = x < y ? x : y, high = x < y ? y : x, r = high + eng_log1p_t(eng_exp_t(low - high));
  const real sum = x + y, z = ((low == high) & (high - high != 0)) ? low : r;
  return ((x != x) | (y != y)) ? sum : z;
}

// -- circular functions -------------------------------------------------------------------------------------------------

ENG_FN real eng_atan_t(real x) {
  const real a = eng_abs_t(x), inverse = 1.0 / a, z = a > 1.0 ? inverse : a, q = z * z, p = z * q * eng_atan_poly_t(q);
  const real near = z + p, far = ENG_HALF_PI_t - (z + (p - ENG_HALF_PI_LOW_t));
  return eng_copysign_t(a > 1.0 ? far : near, x);
}

ENG_FN real eng_atan2_t(real y, real x) {
  const real a = eng_abs_t(y), b = eng_abs_t(x), big = a > b ? a : b, small = a > b ? b : a;
  const real quotient = small / big, equal = big == 0 ? 0.0 : 1.0, z = big == small ? equal : quotient;
  const real q = z * z, p = z * q * eng_atan_poly_t(q), near = z + p;
  const real far = ENG_HALF_PI_t - (z + (p - ENG_HALF_PI_LOW_t)), t = a > b ? far : near;
  const real back = 2.0 * ENG_HALF_PI_t - (t - 2.0 * ENG_HALF_PI_LOW_t), u = as_bits(x) < 0 ? back : t, sum = x + y;
  return ((x != x) | (y != y)) ? sum : eng_copysign_t(u, y);
}

ENG_FN real eng_asin_t(real x) {
  const real a = eng_abs_t(x), h = 0.5 * (1.0 - a), root = eng_hw_sqrt_t(h), square = x * x;
  const real q = a > 0.5 ? h : square, z = a > 0.5 ? root : a, y = z + z * q * eng_asin_poly_t(q);
  const real far = ENG_HALF_PI_t - (2.0 * y - ENG_HALF_PI_LOW_t);
  return eng_copysign_t(a > 0.5 ? far : y, x);
}

ENG_FN real eng_acos_t(real x) {
  const real a = eng_abs_t(x), h = 0.5 * (1.0 - a), root = eng_hw_sqrt_t(h), square = x * x;
  const real q = a > 0.5 ? h : square, z = a > 0.5 ? root : x, y = z + z * q * eng_asin_poly_t(q), twice = 2.0 * y;
  const real back = 2.0 * ENG_HALF_PI_t - (twice - 2.0 * ENG_HALF_PI_LOW_t), far = x < 0 ? back : twice;
  const real near = ENG_HALF_PI_t - (y - ENG_HALF_PI_LOW_t);
  return a > 0.5 ? far : near;
}

// -- error functions ----------------------------------------------------------------------------------------------------

ENG_FN real eng_erfc_t(real x) {
  const real a = eng_abs_t(x), b = a > 28.0 ? 28.0 : a;
  const real y = eng_erfc_scaled_t(b) * eng_exp_minus_square_t(b, 1.0), mirrored = 2.0 - y, far = x < 0 ? mirrored : y;
  const real q = x * x, near = 1.0 - x * eng_erf_poly_t(q);
  return a < 0.5 ? near : far;
}

// -- lengths ------------------------------------------------------------------------------------------------------------

ENG_FN real eng_hypot_t(real x, real y) {
  const real a = eng_abs_t(x), b = eng_abs_t(y), m = a > b ? a : b;
  const real lift = m < 1.0 / ENG_HUGE_t ? ENG_SCALE_t : 1.0, up = m > ENG_HUGE_t ? 1.0 / ENG_SCALE_t : lift;
  const real sink = m < 1.0 / ENG_HUGE_t ? 1.0 / ENG_SCALE_t : 1.0, down = m > ENG_HUGE_t ? ENG_SCALE_t : sink;
  const real u = a * up, v = b * up, r = eng_hw_sqrt_t(u * u + v * v) * down;
  return ((a == INFINITY) | (b == INFINITY)) ? (real)INFINITY : r;
}

// -- complex numbers -----------------------------------------------------------------------------------------------------

ENG_FN real2 eng_cmul_c(real2 a, real2 b) { return (real2)(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x); }

// Smith 1962: scaled by the larger part of the divisor
ENG_FN real2 eng_cdiv_c(real2 a, real2 b) {
  const int wide = eng_abs_t(b.x) >= eng_abs_t(b.y);
  const real p = wide ? b.x : b.y, q = wide ? b.y : b.x, r = ((p == 0) & (q == 0)) ? 0.0 : q / p, d = p + q * r;
  const real u = wide ? a.x + a.y * r : a.x * r + a.y, v = wide ? a.y - a.x * r : a.y * r - a.x;
  return (real2)(u / d, v / d);
}
