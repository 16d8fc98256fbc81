// Scalar functions of generated kernels: what OpenCL's builtins lack, or where torch's corner cases differ.
#define ENG_FN static inline __attribute__((always_inline))

// -- 16-bit floats ------------------------------------------------------------------------------------------------
ENG_FN float eng_from_f16(ushort h) {
  const uint sign = (uint)(h & 0x8000) << 16, rest = (uint)(h & 0x7fff) << 13;
  // Scaling by 2^112 moves the exponent bias and makes subnormals exact; inf and NaN keep their all-ones exponent.
  const float scaled = as_float(rest) * 0x1p112f;
  return as_float((rest >= 0x0f800000u ? (rest | 0x7f800000u) : as_uint(scaled)) | sign);
}
ENG_FN ushort eng_to_f16(float x) {
  const uint u = as_uint(x), sign = (u >> 16) & 0x8000u, mag = u & 0x7fffffffu;
  const uint normal = (mag + 0xfffu + ((mag >> 13) & 1u) - 0x38000000u) >> 13;
  const uint small = as_uint(as_float(mag) + 0.5f) - 0x3f000000u;  // the sum rounds to a multiple of 2^-24
  uint r = mag < 0x38800000u ? small : normal;
  r = mag >= 0x477ff000u ? 0x7c00u : r;
  r = mag > 0x7f800000u ? 0x7e00u : r;
  return (ushort)(r | sign);
}
ENG_FN float eng_round_f16(float x) { return eng_from_f16(eng_to_f16(x)); }
ENG_FN float eng_from_bf16(ushort h) { return as_float((uint)h << 16); }
ENG_FN ushort eng_to_bf16(float x) {
  const uint u = as_uint(x);
  return (ushort)((u & 0x7fffffffu) > 0x7f800000u ? 0x7fc0u : (u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}
ENG_FN float eng_round_bf16(float x) { return eng_from_bf16(eng_to_bf16(x)); }

// -- keys: floats as integers in order of value, NaN above (max) or below (min) everything ----------------------------
ENG_FN int eng_key_max_f32(float x) {
  const int i = as_int(x);
  return x != x ? 0x7fffffff : i ^ ((i >> 31) & 0x7fffffff);
}
ENG_FN int eng_key_min_f32(float x) {
  const int i = as_int(x);
  return x != x ? (int)0x80000000 : i ^ ((i >> 31) & 0x7fffffff);
}
ENG_FN float eng_unkey_f32(int k) {
  return (k == 0x7fffffff || k == (int)0x80000000) ? as_float(0x7fc00000) : as_float(k ^ ((k >> 31) & 0x7fffffff));
}

// -- integers: division by zero gives 0 instead of a trap -------------------------------------------------------------
#define eng_floordiv(T, a, b) ((T)((b) ? ((a) / ((b) == -1 ? 1 : (b))) * ((b) == -1 ? -1 : 1) - (((a) % ((b) == -1 ? 1 : (b))) != 0 && (((a) < 0) != ((b) < 0))) : 0))
#define eng_truncdiv(T, a, b) ((T)((b) ? ((a) / ((b) == -1 ? 1 : (b))) * ((b) == -1 ? -1 : 1) : 0))
#define eng_fmod_int(T, a, b) ((T)((b) == 0 || (b) == -1 ? 0 : (a) % (b)))
#define eng_remainder(T, a, b) \
  ((T)((b) == 0 || (b) == -1 ? 0 : ((a) % (b)) + ((((a) % (b)) != 0 && (((a) < 0) != ((b) < 0))) ? (b) : 0)))
#define eng_shl(T, a, b) ((T)((ulong)(b) >= sizeof(T) * 8 ? 0 : (T)((ulong)(a) << (b))))
#define eng_shr(T, a, b) ((T)((a) >> ((ulong)(b) >= sizeof(T) * 8 ? sizeof(T) * 8 - 1 : (b))))
#define eng_shru(T, a, b) ((T)((ulong)(b) >= sizeof(T) * 8 ? 0 : (a) >> (b)))
#define eng_powi(T, a, b) ((T)eng_powi64((long)(a), (long)(b)))
ENG_FN long eng_powi64(long a, long b) {
  if (b < 0) return a == 1 ? 1 : a == -1 ? ((b & 1) ? -1 : 1) : 0;
  ulong r = 1, x = (ulong)a;
  for (; b > 0; b >>= 1) {
    if (b & 1) r *= x;
    x *= x;
  }
  return (long)r;
}
#define eng_gcd(T, a, b) ((T)eng_gcd64((long)(a), (long)(b)))
ENG_FN long eng_gcd64(long a, long b) {
  ulong x = (ulong)(a < 0 ? -a : a), y = (ulong)(b < 0 ? -b : b);
  while (y) {
    const ulong t = x % y;
    x = y;
    y = t;
  }
  return (long)x;
}

// -- index checks: the first fault since the host last looked is kept ---------------------------------------------------
ENG_FN long eng_check(long i, long n, __global int* fault) {
  if (i >= 0 && i < n) return i;
  fault[0] = 1;
  fault[1] = (int)i;
  fault[2] = (int)n;
  return 0;
}

// -- random bits: Philox 4x32-10 (Salmon et al. 2011), one 64-bit result a counter --------------------------------------
ENG_FN ulong eng_philox(ulong counter, ulong seed, ulong offset) {
  const ulong block = (counter >> 1) + offset;
  uint c0 = (uint)block, c1 = (uint)(block >> 32), c2 = 0, c3 = 0;
  uint k0 = (uint)seed, k1 = (uint)(seed >> 32);
  for (int round = 0; round < 10; round++) {
    const ulong p0 = (ulong)0xD2511F53u * c0, p1 = (ulong)0xCD9E8D57u * c2;
    const uint n0 = (uint)(p1 >> 32) ^ c1 ^ k0, n2 = (uint)(p0 >> 32) ^ c3 ^ k1;
    c1 = (uint)p1;
    c3 = (uint)p0;
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return (counter & 1) ? ((ulong)c3 << 32 | c2) : ((ulong)c1 << 32 | c0);
}

// -- floating point, both precisions ------------------------------------------------------------------------------------
#define ENG_FLOAT(T, t, I, SIGN)                                                                        \
  ENG_FN T eng_abs_##t(T x) { return as_##T(as_##I(x) & ~SIGN); }                                        \
  ENG_FN T eng_sign_##t(T x) { return x > 0 ? (T)1 : x < 0 ? (T)-1 : x; }                                \
  ENG_FN int eng_signbit_##t(T x) { return as_##I(x) < 0; }                                              \
  ENG_FN T eng_copysign_##t(T x, T y) { return as_##T((as_##I(x) & ~SIGN) | (as_##I(y) & SIGN)); }        \
  ENG_FN T eng_max_##t(T a, T b) { return (a > b || a != a) ? a : b; }                                   \
  ENG_FN T eng_min_##t(T a, T b) { return (a < b || a != a) ? a : b; }                                   \
  ENG_FN T eng_fmod_##t(T a, T b) { return fmod(a, b); }                                                 \
  ENG_FN T eng_remainder_##t(T a, T b) {                                                                 \
    T m = fmod(a, b);                                                                                    \
    return (m != 0 && ((b < 0) != (m < 0))) ? m + b : m;                                                 \
  }                                                                                                      \
  ENG_FN T eng_floor_divide_##t(T a, T b) {                                                              \
    if (b == 0) return a / b;                                                                            \
    const T m = fmod(a, b);                                                                              \
    T d = (a - m) / b;                                                                                   \
    if (m != 0 && ((b < 0) != (m < 0))) d -= 1;                                                          \
    if (d == 0) return eng_copysign_##t((T)0, a / b);                                                    \
    T f = floor(d);                                                                                      \
    return d - f > (T)0.5 ? f + 1 : f;                                                                   \
  }                                                                                                      \
  ENG_FN T eng_sqrt_##t(T x) { return sqrt(x); }                                                         \
  ENG_FN T eng_rsqrt_##t(T x) { return 1 / sqrt(x); }                                                    \
  ENG_FN T eng_floor_##t(T x) { return floor(x); }                                                       \
  ENG_FN T eng_ceil_##t(T x) { return ceil(x); }                                                         \
  ENG_FN T eng_trunc_##t(T x) { return trunc(x); }                                                       \
  ENG_FN T eng_round_##t(T x) { return rint(x); }                                                        \
  ENG_FN T eng_nextafter_##t(T x, T y) {                                                                 \
    if (x != x || y != y) return x + y;                                                                  \
    if (x == y) return y;                                                                                \
    if (x == 0) return as_##T((I)((as_##I(y) & SIGN) | 1));                                              \
    return as_##T((I)(as_##I(x) + (((y > x) == (x > 0)) ? 1 : -1)));                                     \
  }                                                                                                      \
  ENG_FN T eng_sigmoid_##t(T x) { return 1 / (1 + exp(-x)); }                                            \
  ENG_FN T eng_hypot_##t(T x, T y) { return hypot(x, y); }                                               \
  ENG_FN T eng_pow_##t(T x, T y) { return pow(x, y); }                                                   \
  ENG_FN T eng_atan2_##t(T x, T y) { return atan2(x, y); }                                               \
  ENG_FN T eng_log_add_##t(T x, T y) {                                                                   \
    if (x != x || y != y) return x + y;                                                                  \
    const T low = x < y ? x : y, high = x < y ? y : x;                                                   \
    return (low == high && (low - low) != 0) ? low : high + log1p(exp(low - high));                      \
  }
#define ENG_BUILTIN(f, T, t) \
  ENG_FN T eng_##f##_##t(T x) { return f(x); }
#define ENG_BUILTINS(T, t)                                                                                  \
  ENG_BUILTIN(exp, T, t) ENG_BUILTIN(exp2, T, t) ENG_BUILTIN(expm1, T, t) ENG_BUILTIN(log, T, t)             \
  ENG_BUILTIN(log2, T, t) ENG_BUILTIN(log10, T, t) ENG_BUILTIN(log1p, T, t) ENG_BUILTIN(sin, T, t)           \
  ENG_BUILTIN(cos, T, t) ENG_BUILTIN(tan, T, t) ENG_BUILTIN(asin, T, t) ENG_BUILTIN(acos, T, t)              \
  ENG_BUILTIN(atan, T, t) ENG_BUILTIN(sinh, T, t) ENG_BUILTIN(cosh, T, t) ENG_BUILTIN(tanh, T, t)            \
  ENG_BUILTIN(asinh, T, t) ENG_BUILTIN(acosh, T, t) ENG_BUILTIN(atanh, T, t) ENG_BUILTIN(erf, T, t)          \
  ENG_BUILTIN(erfc, T, t) ENG_BUILTIN(lgamma, T, t)
ENG_FLOAT(float, f32, int, (int)0x80000000)
ENG_BUILTINS(float, f32)
#ifdef ENGINE_FP64
ENG_FN long eng_key_max_f64(double x) {
  const long i = as_long(x);
  return x != x ? 0x7fffffffffffffffL : i ^ ((i >> 63) & 0x7fffffffffffffffL);
}
ENG_FN long eng_key_min_f64(double x) {
  const long i = as_long(x);
  return x != x ? (long)0x8000000000000000UL : i ^ ((i >> 63) & 0x7fffffffffffffffL);
}
ENG_FN double eng_unkey_f64(long k) {
  return (k == 0x7fffffffffffffffL || k == (long)0x8000000000000000UL) ? as_double(0x7ff8000000000000L)
                                                                        : as_double(k ^ ((k >> 63) & 0x7fffffffffffffffL));
}
ENG_FLOAT(double, f64, long, (long)0x8000000000000000UL)
ENG_BUILTINS(double, f64)
#endif
