// Put before every program: attributes, unaligned vectors, extensions and, on PoCL, the builtins that are used.
// Build options that reach this file: ENGINE_FP64, ENGINE_FP16, ENGINE_INT64_ATOMICS, ENGINE_CLANG_CPU, ENGINE_CPU or
// ENGINE_GPU, ENGINE_PLATFORM_POCL, ENGINE_FLOAT_WIDTH, ENGINE_DECLARE_BUILTINS.

#ifdef ENGINE_FP64
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#endif
#ifdef ENGINE_FP16
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
#endif
#ifdef ENGINE_INT64_ATOMICS
#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable
#pragma OPENCL EXTENSION cl_khr_int64_extended_atomics : enable
#endif

// Kernel attribute: everything called is inlined. PoCL's builtin library is compiled for another CPU, and without this
// each builtin is a real call.
#ifdef ENGINE_CLANG_CPU
#define KATTR __attribute__((flatten))
#else
#define KATTR
#endif

// Vectors at any element address: *(__global const f8u*)(p).
#define ENG_UNALIGNED(T, s, bytes)                     \
  typedef T##2 __attribute__((aligned(bytes))) s##2u;  \
  typedef T##4 __attribute__((aligned(bytes))) s##4u;  \
  typedef T##8 __attribute__((aligned(bytes))) s##8u;  \
  typedef T##16 __attribute__((aligned(bytes))) s##16u;
ENG_UNALIGNED(float, f, 4)
ENG_UNALIGNED(int, i, 4)
ENG_UNALIGNED(uint, ui, 4)
ENG_UNALIGNED(long, l, 8)
ENG_UNALIGNED(ulong, ul, 8)
ENG_UNALIGNED(short, s, 2)
ENG_UNALIGNED(ushort, us, 2)
ENG_UNALIGNED(char, c, 1)
ENG_UNALIGNED(uchar, uc, 1)
#ifdef ENGINE_FP64
ENG_UNALIGNED(double, d, 8)
#endif

// Declarations of builtins, for when the compiler's own header is skipped. What is missing here still works: the
// program is then built with the header, only slower.
#ifdef ENGINE_DECLARE_BUILTINS
#define ENG_PURE __attribute__((overloadable, const))
#define ENG_READ __attribute__((overloadable, pure))
#define ENG_CALL __attribute__((overloadable))

size_t ENG_PURE get_group_id(uint);
size_t ENG_PURE get_local_id(uint);
size_t ENG_PURE get_global_id(uint);
size_t ENG_PURE get_num_groups(uint);
size_t ENG_PURE get_local_size(uint);
size_t ENG_PURE get_global_size(uint);
size_t ENG_PURE get_global_offset(uint);
uint ENG_PURE get_work_dim(void);
void __attribute__((overloadable, convergent)) barrier(cl_mem_fence_flags);
void ENG_CALL mem_fence(cl_mem_fence_flags);
void ENG_CALL read_mem_fence(cl_mem_fence_flags);
void ENG_CALL write_mem_fence(cl_mem_fence_flags);

#define ENG_F1(T, f) T ENG_PURE f(T);
#define ENG_F2(T, f) T ENG_PURE f(T, T);
#define ENG_F3(T, f) T ENG_PURE f(T, T, T);
#define ENG_TEST(T, f) int ENG_PURE f(T);
// clang-format off
#define ENG_ROUNDING(T) \
  ENG_F1(T, sqrt) ENG_F1(T, floor) ENG_F1(T, ceil) ENG_F1(T, rint) ENG_F1(T, trunc) ENG_F1(T, round) \
  ENG_F1(T, fabs) ENG_F2(T, fmin) ENG_F2(T, fmax) ENG_F3(T, fma) ENG_F3(T, mad)
#define ENG_VECTOR_MATH(T) ENG_ROUNDING(T) ENG_F1(T, exp) ENG_F1(T, log) ENG_F2(T, copysign)
#define ENG_SCALAR_MATH(T) \
  ENG_VECTOR_MATH(T) \
  ENG_F1(T, rsqrt) ENG_F1(T, cbrt) ENG_F1(T, exp2) ENG_F1(T, exp10) ENG_F1(T, expm1) \
  ENG_F1(T, log2) ENG_F1(T, log10) ENG_F1(T, log1p) \
  ENG_F1(T, sin) ENG_F1(T, cos) ENG_F1(T, tan) ENG_F1(T, asin) ENG_F1(T, acos) ENG_F1(T, atan) \
  ENG_F1(T, sinh) ENG_F1(T, cosh) ENG_F1(T, tanh) ENG_F1(T, asinh) ENG_F1(T, acosh) ENG_F1(T, atanh) \
  ENG_F1(T, erf) ENG_F1(T, erfc) ENG_F1(T, lgamma) ENG_F1(T, tgamma) ENG_F1(T, sign) \
  ENG_F2(T, pow) ENG_F2(T, atan2) ENG_F2(T, fmod) ENG_F2(T, hypot) ENG_F2(T, nextafter) ENG_F2(T, remainder) \
  ENG_F2(T, fdim) ENG_F2(T, min) ENG_F2(T, max) ENG_F3(T, clamp) ENG_F3(T, mix) \
  T ENG_PURE ldexp(T, int); T ENG_PURE pown(T, int); int ENG_PURE ilogb(T); \
  ENG_TEST(T, isnan) ENG_TEST(T, isinf) ENG_TEST(T, isfinite) ENG_TEST(T, signbit)
#define ENG_INTEGER(T) ENG_F2(T, min) ENG_F2(T, max) ENG_F3(T, clamp)
#define ENG_BITS(T) ENG_F2(T, mul_hi) ENG_F2(T, rotate) ENG_F1(T, clz) ENG_F1(T, popcount)
#define ENG_VECTORS(M, T) M(T##2) M(T##4) M(T##8) M(T##16)
// clang-format on
ENG_SCALAR_MATH(float)
ENG_VECTORS(ENG_VECTOR_MATH, float)
#ifdef ENGINE_FP64
ENG_SCALAR_MATH(double)
ENG_VECTORS(ENG_VECTOR_MATH, double)
#endif
ENG_INTEGER(char)
ENG_INTEGER(uchar)
ENG_INTEGER(short)
ENG_INTEGER(ushort)
ENG_INTEGER(int)
ENG_INTEGER(uint)
ENG_INTEGER(long)
ENG_INTEGER(ulong)
ENG_VECTORS(ENG_INTEGER, int)
ENG_VECTORS(ENG_INTEGER, uint)
ENG_BITS(int)
ENG_BITS(uint)
ENG_BITS(long)
ENG_BITS(ulong)
uint ENG_PURE abs(int);
ulong ENG_PURE abs(long);

#define ENG_VECTOR_MEMORY(T, n, space)                      \
  T##n ENG_READ vload##n(size_t, const space T*);           \
  void ENG_CALL vstore##n(T##n, size_t, space T*);
#define ENG_VECTOR_MEMORIES(T, space) \
  ENG_VECTOR_MEMORY(T, 2, space)      \
  ENG_VECTOR_MEMORY(T, 4, space)      \
  ENG_VECTOR_MEMORY(T, 8, space)      \
  ENG_VECTOR_MEMORY(T, 16, space)
#define ENG_HALF_MEMORY(n, space)                               \
  float##n ENG_READ vload_half##n(size_t, const space half*);   \
  void ENG_CALL vstore_half##n(float##n, size_t, space half*);  \
  void ENG_CALL vstore_half##n##_rte(float##n, size_t, space half*);
#define ENG_MEMORY(space)           \
  ENG_VECTOR_MEMORIES(float, space) \
  ENG_VECTOR_MEMORIES(int, space)   \
  ENG_HALF_MEMORY(, space)          \
  ENG_HALF_MEMORY(2, space)         \
  ENG_HALF_MEMORY(4, space)         \
  ENG_HALF_MEMORY(8, space)         \
  ENG_HALF_MEMORY(16, space)
ENG_MEMORY(__global)
ENG_MEMORY(__local)
ENG_MEMORY(__private)

#define ENG_ATOMIC(T, name, space) T ENG_CALL name(volatile space T*, T);
#define ENG_ATOMICS(T, prefix, space)      \
  ENG_ATOMIC(T, prefix##add, space)        \
  ENG_ATOMIC(T, prefix##sub, space)        \
  ENG_ATOMIC(T, prefix##xchg, space)       \
  ENG_ATOMIC(T, prefix##min, space)        \
  ENG_ATOMIC(T, prefix##max, space)        \
  ENG_ATOMIC(T, prefix##and, space)        \
  ENG_ATOMIC(T, prefix##or, space)         \
  ENG_ATOMIC(T, prefix##xor, space)        \
  T ENG_CALL prefix##inc(volatile space T*); \
  T ENG_CALL prefix##dec(volatile space T*); \
  T ENG_CALL prefix##cmpxchg(volatile space T*, T, T);
ENG_ATOMICS(int, atomic_, __global)
ENG_ATOMICS(uint, atomic_, __global)
ENG_ATOMICS(int, atomic_, __local)
ENG_ATOMICS(uint, atomic_, __local)
float ENG_CALL atomic_xchg(volatile __global float*, float);
float ENG_CALL atomic_xchg(volatile __local float*, float);
#ifdef ENGINE_INT64_ATOMICS
ENG_ATOMICS(long, atom_, __global)
ENG_ATOMICS(ulong, atom_, __global)
ENG_ATOMICS(long, atom_, __local)
ENG_ATOMICS(ulong, atom_, __local)
#endif

// Conversions between vectors, as the compiler itself does them (truncating, not saturating).
#undef convert_char2
#undef convert_char4
#undef convert_char8
#undef convert_char16
#undef convert_uchar2
#undef convert_uchar4
#undef convert_uchar8
#undef convert_uchar16
#undef convert_short2
#undef convert_short4
#undef convert_short8
#undef convert_short16
#undef convert_ushort2
#undef convert_ushort4
#undef convert_ushort8
#undef convert_ushort16
#undef convert_int2
#undef convert_int4
#undef convert_int8
#undef convert_int16
#undef convert_uint2
#undef convert_uint4
#undef convert_uint8
#undef convert_uint16
#undef convert_long2
#undef convert_long4
#undef convert_long8
#undef convert_long16
#undef convert_ulong2
#undef convert_ulong4
#undef convert_ulong8
#undef convert_ulong16
#undef convert_float2
#undef convert_float4
#undef convert_float8
#undef convert_float16
#undef convert_double2
#undef convert_double4
#undef convert_double8
#undef convert_double16
#define convert_char2(x) __builtin_convertvector((x), char2)
#define convert_char4(x) __builtin_convertvector((x), char4)
#define convert_char8(x) __builtin_convertvector((x), char8)
#define convert_char16(x) __builtin_convertvector((x), char16)
#define convert_uchar2(x) __builtin_convertvector((x), uchar2)
#define convert_uchar4(x) __builtin_convertvector((x), uchar4)
#define convert_uchar8(x) __builtin_convertvector((x), uchar8)
#define convert_uchar16(x) __builtin_convertvector((x), uchar16)
#define convert_short2(x) __builtin_convertvector((x), short2)
#define convert_short4(x) __builtin_convertvector((x), short4)
#define convert_short8(x) __builtin_convertvector((x), short8)
#define convert_short16(x) __builtin_convertvector((x), short16)
#define convert_ushort2(x) __builtin_convertvector((x), ushort2)
#define convert_ushort4(x) __builtin_convertvector((x), ushort4)
#define convert_ushort8(x) __builtin_convertvector((x), ushort8)
#define convert_ushort16(x) __builtin_convertvector((x), ushort16)
#define convert_int2(x) __builtin_convertvector((x), int2)
#define convert_int4(x) __builtin_convertvector((x), int4)
#define convert_int8(x) __builtin_convertvector((x), int8)
#define convert_int16(x) __builtin_convertvector((x), int16)
#define convert_uint2(x) __builtin_convertvector((x), uint2)
#define convert_uint4(x) __builtin_convertvector((x), uint4)
#define convert_uint8(x) __builtin_convertvector((x), uint8)
#define convert_uint16(x) __builtin_convertvector((x), uint16)
#define convert_long2(x) __builtin_convertvector((x), long2)
#define convert_long4(x) __builtin_convertvector((x), long4)
#define convert_long8(x) __builtin_convertvector((x), long8)
#define convert_long16(x) __builtin_convertvector((x), long16)
#define convert_ulong2(x) __builtin_convertvector((x), ulong2)
#define convert_ulong4(x) __builtin_convertvector((x), ulong4)
#define convert_ulong8(x) __builtin_convertvector((x), ulong8)
#define convert_ulong16(x) __builtin_convertvector((x), ulong16)
#define convert_float2(x) __builtin_convertvector((x), float2)
#define convert_float4(x) __builtin_convertvector((x), float4)
#define convert_float8(x) __builtin_convertvector((x), float8)
#define convert_float16(x) __builtin_convertvector((x), float16)
#define convert_double2(x) __builtin_convertvector((x), double2)
#define convert_double4(x) __builtin_convertvector((x), double4)
#define convert_double8(x) __builtin_convertvector((x), double8)
#define convert_double16(x) __builtin_convertvector((x), double16)
#endif
