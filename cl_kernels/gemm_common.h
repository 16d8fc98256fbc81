// What the matrix product kernels share: types, 16-bit floats, register tiles, the epilogue hook.
//
// Options: ST element type in memory, CT type of the arithmetic, VW vector width of CT, NARROW when ST is not CT, HALF
// (1 float16, 2 bfloat16) when ST holds 16-bit floats as ushort, PARTIAL to write CT instead of ST. PREFETCH:
// the compiler has __builtin_prefetch for the host's addresses (PoCL). MR and NV: the
// register tile is MR x NR, NR = NV * VW. Accumulators are named scalars made by macros: LLVM keeps an indexed private
// array in memory.

#ifndef KATTR
#ifdef __clang__
#define KATTR __attribute__((flatten))
#else
#define KATTR
#endif
#endif
#ifndef EPILOGUE
#define EPILOGUE_PARAMS
#define EPILOGUE(c, batch, row, col0, ncols)
#define NO_EPILOGUE
#endif

#ifdef FP64
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#endif

#define CAT_(x, y) x##y
#define CAT(x, y) CAT_(x, y)
typedef CAT(CT, VW) VT __attribute__((aligned(sizeof(CT)))); // unaligned: memory need not be vector aligned
typedef CAT(CT, VW) AVT;                                     // aligned: packed panels
typedef CAT(CT, 8) V8 __attribute__((aligned(sizeof(CT))));
typedef CAT(CT, 4) V4 __attribute__((aligned(sizeof(CT))));
typedef CAT(CT, 2) V2 __attribute__((aligned(sizeof(CT))));

#if HALF == 1
// binary16 <-> binary32 in integer arithmetic: cl_khr_fp16 is not needed and the loops around it vectorise.
// Small numbers go through integers: arithmetic on binary32 denormals is slow.
static float to_ct(ushort h) {
  uint m = (uint)(h & 0x7fff);
  uint small = as_uint((float)m * 0x1p-24f), bits = (m << 13) + (m >= 0x7c00u ? 0x70000000u : 0x38000000u);
  return as_float((m < 0x400u ? small : bits) | ((uint)(h & 0x8000) << 16));
}
static ushort from_ct(float f) {
  uint bits = as_uint(f), sign = (bits >> 16) & 0x8000u, x = bits & 0x7fffffffu;
  uint normal = (x + 0xfffu + ((x >> 13) & 1u) - 0x38000000u) >> 13;
  uint denormal = as_uint(as_float(x) + 0.5f) - 0x3f000000u; // the addition rounds to multiples of 2^-24
  uint special = x > 0x7f800000u ? 0x7e00u : 0x7c00u;
  return (ushort)(sign | (x >= 0x477ff000u ? special : x < 0x38800000u ? denormal : normal));
}
#elif HALF == 2
static float to_ct(ushort h) { return as_float((uint)h << 16); }
static ushort from_ct(float f) {
  uint bits = as_uint(f);
  uint rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return (ushort)((bits & 0x7fffffffu) > 0x7f800000u ? (bits >> 16) | 0x40u : rounded);
}
#else
#define to_ct(x) ((CT)(x))
#define from_ct(x) ((ST)(x))
#endif

#ifdef NARROW
#define E2(p, i) to_ct((p)[i]), to_ct((p)[i + 1])
#define E4(p, i) E2(p, i), E2(p, i + 2)
#define E8(p, i) E4(p, i), E4(p, i + 4)
#define E16(p, i) E8(p, i), E8(p, i + 8)
#define LOADV(p) (AVT)(CAT(E, VW)(p, 0))
#define LOAD8(p) (V8)(E8(p, 0))
#else
#define LOADV(p) *(__global const VT *)(p)
#define LOAD8(p) (*(__global const V8 *)(p))
#endif

#ifdef PARTIAL
typedef CT OT;
#define to_out(x) (x)
#else
typedef ST OT;
#define to_out(x) from_ct(x)
#endif
#ifdef PREFETCH
#define TO_L1(p) __builtin_prefetch((const void *)(size_t)(p), 1, 3)
#define TO_L2(p) __builtin_prefetch((const void *)(size_t)(p), 0, 2)
#else
#define TO_L1(p)
#define TO_L2(p)
#endif
#define LINE (64 / (long)sizeof(ST)) // elements in a cache line

#define MIN(x, y) ((x) < (y) ? (x) : (y))

#ifdef MR // register tile
#define NR (NV * VW)
#include "register_tile.h"
#define DECLARE1(i, j) VT ACC(i, j) = (VT)(0);
#define DECLARE(i) COLS(DECLARE1, i)
#define MULADD1(i, j) ACC(i, j) = t * b##j + ACC(i, j);
#endif // MR
