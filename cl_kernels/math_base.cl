// Scalar functions of generated kernels: integers, 16-bit floats, keys of reductions, index checks.
// A program gets only the definitions it uses (engine/graph/mathlib.py): blank lines separate them, and each names what
// it needs.

#define ENG_FN static inline __attribute__((always_inline))

// Brings the cache line of an address nearer; any address is allowed
#ifdef ENGINE_PLATFORM_POCL
#define eng_prefetch(p) __builtin_prefetch((const void*)(ulong)(p), 0, 3)
#else
#define eng_prefetch(p)
#endif

// -- 16-bit floats -------------------------------------------------------------------------------------------------------

// By the processor's instructions; the bound, past all halves, keeps the compiler from computing in half precision, which it
// does one number at a time. Otherwise: scaling by 2^112 moves the exponent bias and makes subnormals exact; inf and NaN
// keep their all-ones exponent.
#if defined(ENGINE_PLATFORM_POCL) && defined(__F16C__)
ENG_FN float eng_from_f16(ushort h) { return __builtin_load_halff((const half*)&h); }
#else
ENG_FN float eng_from_f16(ushort h) {
  const uint sign = (uint)(h & 0x8000) << 16, rest = (uint)(h & 0x7fff) << 13;
  const float scaled = as_float(rest) * 0x1p112f;
  return as_float((rest >= 0x0f800000u ? (rest | 0x7f800000u) : as_uint(scaled)) | sign);
}
#endif

// To nearest, ties to even. Subnormal results: adding 1/2 rounds to a multiple of 2^-24.
#if defined(ENGINE_PLATFORM_POCL) && defined(__F16C__)
ENG_FN ushort eng_to_f16(float x) {
  ushort h;
  __builtin_store_halff(x > 0x1p127f ? 0x1p127f : x, (half*)&h);
  return h;
}
#else
ENG_FN ushort eng_to_f16(float x) {
  const uint u = as_uint(x), sign = (u >> 16) & 0x8000u, mag = u & 0x7fffffffu;
  const uint normal = (mag + 0xfffu + ((mag >> 13) & 1u) - 0x38000000u) >> 13;
  const uint small = as_uint(as_float(mag) + 0.5f) - 0x3f000000u;
  uint r = mag < 0x38800000u ? small : normal;
  r = mag >= 0x477ff000u ? 0x7c00u : r;
  r = mag > 0x7f800000u ? 0x7e00u : r;
  return (ushort)(r | sign);
}
#endif

ENG_FN float eng_round_f16(float x) { return eng_from_f16(eng_to_f16(x)); }

ENG_FN float eng_from_bf16(ushort h) { return as_float((uint)h << 16); }

ENG_FN ushort eng_to_bf16(float x) {
  const uint u = as_uint(x);
  return (ushort)((u & 0x7fffffffu) > 0x7f800000u ? 0x7fc0u : (u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

ENG_FN float eng_round_bf16(float x) { return eng_from_bf16(eng_to_bf16(x)); }

// -- keys: floats as integers in order of value, NaN above (max) or below (min) everything ------------------------------

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

ENG_FN long eng_key_max_f64(double x) {
  const long i = as_long(x);
  return x != x ? 0x7fffffffffffffffL : i ^ ((i >> 63) & 0x7fffffffffffffffL);
}

ENG_FN long eng_key_min_f64(double x) {
  const long i = as_long(x);
  return x != x ? (long)0x8000000000000000UL : i ^ ((i >> 63) & 0x7fffffffffffffffL);
}

ENG_FN double eng_unkey_f64(long k) {
  return (k == 0x7fffffffffffffffL || k == (long)0x8000000000000000UL)
             ? as_double(0x7ff8000000000000L) : as_double(k ^ ((k >> 63) & 0x7fffffffffffffffL));
}

// -- integers: division by zero gives 0, and the least number by -1 wraps; neither traps ------------------------------

#define eng_safe_divisor(T, b) ((T)((b) == 0 || (b) == -1 ? 1 : (b)))

#define eng_negated(T, a) ((T)(0 - (ulong)(a)))

#define eng_floordiv(T, a, b) \
  ((T)((b) == 0 ? 0 : (b) == -1 ? eng_negated(T, a) : ((a) / eng_safe_divisor(T, b)) - \
  (((a) % eng_safe_divisor(T, b)) != 0 && (((a) < 0) != ((b) < 0)))))

#define eng_truncdiv(T, a, b) ((T)((b) == 0 ? 0 : (b) == -1 ? eng_negated(T, a) : (a) / eng_safe_divisor(T, b)))

#define eng_fmod_int(T, a, b) ((T)((a) % eng_safe_divisor(T, b)))

#define eng_remainder(T, a, b) \
  ((T)((b) == 0 ? 0 : ((a) % eng_safe_divisor(T, b)) + \
  ((((a) % eng_safe_divisor(T, b)) != 0 && (((a) < 0) != ((b) < 0))) ? (b) : 0)))

#define eng_shl(T, a, b) ((T)((ulong)(b) >= sizeof(T) * 8 ? 0 : (T)((ulong)(a) << ((b) & 63))))

#define eng_shr(T, a, b) ((T)((a) >> ((ulong)(b) >= sizeof(T) * 8 ? sizeof(T) * 8 - 1 : (b))))

#define eng_shru(T, a, b) ((T)((ulong)(b) >= sizeof(T) * 8 ? 0 : (a) >> ((b) & (sizeof(T) * 8 - 1))))

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
  ulong x = a < 0 ? 0 - (ulong)a : (ulong)a, y = b < 0 ? 0 - (ulong)b : (ulong)b;
  while (y) {
    const ulong t = x % y;
    x = y;
    y = t;
  }
  return (long)x;
}

ENG_FN ulong eng_mul_high(ulong a, ulong b) {
  const ulong al = a & 0xffffffffUL, ah = a >> 32, bl = b & 0xffffffffUL, bh = b >> 32;
  const ulong middle = ah * bl + ((al * bl) >> 32), other = al * bh + (middle & 0xffffffffUL);
  return ah * bh + (middle >> 32) + (other >> 32);
}

// -- index checks: the first fault since the host last looked is kept -------------------------------------------------

ENG_FN long eng_check(long i, long n, __global int* fault) {
  if (i >= 0 && i < n) return i;
  fault[0] = 1;
  fault[1] = (int)i;
  fault[2] = (int)n;
  return 0;
}
