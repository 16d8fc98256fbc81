// Vectors of VW elements of type CT, and copies of rows between global and local memory.

#define GLUE2(a, b) a##b
#define GLUE(a, b) GLUE2(a, b)
typedef GLUE(CT, VW) VT;
typedef VT VU __attribute__((aligned(sizeof(CT))));
#define LOADL(p) (*(__local const VU *)(p))
#define STOREL(p, v) (*(__local VU *)(p) = (v))

#if defined(T_F16) || defined(T_BF16)
#define PLAIN 0
#else
#define PLAIN 1
#endif
typedef GLUE(CT, 4) V4;
typedef V4 V4U __attribute__((aligned(sizeof(CT))));
typedef GLUE(CT, 8) V8;
typedef V8 V8U __attribute__((aligned(sizeof(CT))));

// dst[i] = src[i], i < n, in vectors of which the last two may overlap. DA, SA: address spaces.
#define COPY_AS(T, DA, SA, at) *(DA T *)(dst + (at)) = *(SA const T *)(src + (at));
#define COPY_ROW(DA, SA)                                          \
    if (n >= VW) {                                                \
        for (int i = 0; i + VW <= n; i += VW) COPY_AS(VU, DA, SA, i) \
        COPY_AS(VU, DA, SA, n - VW)                               \
    } else if (n >= 8) {                                          \
        COPY_AS(V8U, DA, SA, 0)                                   \
        COPY_AS(V8U, DA, SA, n - 8)                               \
    } else if (n >= 4) {                                          \
        COPY_AS(V4U, DA, SA, 0)                                   \
        COPY_AS(V4U, DA, SA, n - 4)                               \
    } else                                                        \
        for (int i = 0; i < n; i++) dst[i] = src[i];

void eng_put_row(__global ST *dst, __local const CT *src, int n, VT zero) {
#if PLAIN
    COPY_ROW(__global, __local)
#else
    for (int i = 0; i < n; i++) STORE(dst, i, src[i]);
#endif
}

void eng_get_row(__local CT *dst, __global const ST *src, int n, VT zero) {
#if PLAIN
    COPY_ROW(__local, __global)
#else
    for (int i = 0; i < n; i++) dst[i] = FETCH(src, i);
#endif
}
