// Elements as stored (ST) and computed (CT): FETCH and STORE convert. T_F16 and T_BF16 say what ST is.
#ifndef KATTR
#define KATTR
#endif
#if defined(USE_FP64) && defined(cl_khr_fp64)
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#endif

#if defined(T_F16)
#define FETCH(p, i) vload_half((i), (p))
#define STORE(p, i, v) vstore_half((v), (i), (p))
#elif defined(T_BF16)
#define FETCH(p, i) as_float((uint)(p)[i] << 16)
ushort eng_to_bf16(float v) {
    uint u = as_uint(v);
    return (u & 0x7fffffffu) > 0x7f800000u ? (ushort)0x7fc0 : (ushort)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}
#define STORE(p, i, v) ((p)[i] = eng_to_bf16(v))
#else
#define FETCH(p, i) ((CT)(p)[i])
#define STORE(p, i, v) ((p)[i] = (ST)(v))
#endif
