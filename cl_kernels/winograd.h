// Winograd F(4x4, 3x3) at the points 0, +-1/sqrt(2), +-sqrt(2) and infinity: the transform of the input, and the register
// tile of the products.
#define ROOT 1.41421356237309505f
#define HALF_ROOT 0.70710678118654752f

// o = B^T d for six vectors.
#define B_ROWS(o, d)                                               \
    {                                                              \
        const VT ba = d##4 - 2.0f * d##2, bb = HALF_ROOT * d##3 - ROOT * d##1; \
        const VT bc = d##4 - 0.5f * d##2, be = ROOT * d##3 - HALF_ROOT * d##1; \
        o##0 = d##0 - 2.5f * d##2 + d##4;                          \
        o##1 = ba + bb;                                            \
        o##2 = ba - bb;                                            \
        o##3 = bc + be;                                            \
        o##4 = bc - be;                                            \
        o##5 = d##1 - 2.5f * d##3 + d##5;                          \
    }

// A register tile of the products: MR rows and up to 3 vectors, summed in registers and added to c[MR][WIDTH].
#define COLS1(M, r) M(r, 0)
#define COLS2(M, r) M(r, 0) M(r, 1)
#define COLS3(M, r) M(r, 0) M(r, 1) M(r, 2)
#if MR == 4
#define ROWS(M, C) M(0, C) M(1, C) M(2, C) M(3, C)
#else
#define ROWS(M, C) M(0, C) M(1, C) M(2, C) M(3, C) M(4, C) M(5, C) M(6, C) M(7, C)
#endif
#define INIT1(r, j) VT c##r##_##j = zero;
#define INIT(r, C) C(INIT1, r)
#define FMA1(r, j) c##r##_##j = t * b##j + c##r##_##j;
#define FMA(r, C) { const VT t = (VT)(a[r]); C(FMA1, r) }
#define ADD1(r, j) *(__local VT *)(c + r * WIDTH + j * VW) += c##r##_##j;
#define ADD(r, C) C(ADD1, r)
#define LOADB(r, j) const VT b##j = *(__global const VU *)(b + j * VW);
