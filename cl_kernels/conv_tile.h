// Register tile of the direct convolution: MR rows by up to NV vectors. A_AS: address space of the broadcast rows.

#define COLS1(M, r) M(r, 0)
#define COLS2(M, r) M(r, 0) M(r, 1)
#define COLS3(M, r) M(r, 0) M(r, 1) M(r, 2)
#define ROWS4(M, C) M(0, C) M(1, C) M(2, C) M(3, C)
#if MR == 4
#define ROWS(M, C) ROWS4(M, C)
#elif MR == 6
#define ROWS(M, C) ROWS4(M, C) M(4, C) M(5, C)
#elif MR == 8
#define ROWS(M, C) ROWS4(M, C) M(4, C) M(5, C) M(6, C) M(7, C)
#elif MR == 12
#define ROWS(M, C) ROWS4(M, C) M(4, C) M(5, C) M(6, C) M(7, C) M(8, C) M(9, C) M(10, C) M(11, C)
#else
#define ROWS(M, C) ROWS4(M, C) M(4, C) M(5, C) M(6, C) M(7, C) M(8, C) M(9, C) M(10, C) M(11, C) M(12, C) M(13, C)
#endif

#define PTR(r, C) A_AS const CT *a##r = a + (long)(r < rows ? r : rows - 1) * lda;
#define INIT1(r, j) VT c##r##_##j = zero;
#define INIT(r, C) C(INIT1, r)
#define FMA1(r, j) c##r##_##j = t * b##j + c##r##_##j;
#define FMA(r, C) { const VT t = (VT)(a##r[k]); C(FMA1, r) }
#define PUT1(r, j) *(__local VT *)(c + (long)r * ldc + j * VW) = c##r##_##j;
#define ADD1(r, j) *(__local VT *)(c + (long)r * ldc + j * VW) += c##r##_##j;
#define ADD(r, C) C(ADD1, r)
#define PUT(r, C) C(PUT1, r)
#define LOADB(r, j) const VT b##j = *(__local const VT *)(b + j * VW);

// c[MR][nv*VW] (+)= a[rows][kc] * b[kc][nv*VW]; rows of the tile beyond `rows` repeat the last one.
#define TILE(NAME, C, WIDTH)                                                                              \
    void NAME(A_AS const CT *a, long lda, int rows, __local const CT *b, int kc, __local CT *c, int ldc,   \
              int fresh, VT zero) {                                                                              \
        ROWS(PTR, C)                                                                                      \
        ROWS(INIT, C)                                                                                     \
        _Pragma("unroll 4") for (int k = 0; k < kc; k++) {                                                \
            C(LOADB, 0)                                                                                   \
            ROWS(FMA, C)                                                                                  \
            b += WIDTH * VW;                                                                              \
        }                                                                                                 \
        if (fresh) {                                                                                      \
            ROWS(PUT, C)                                                                                  \
        } else {                                                                                          \
            ROWS(ADD, C)                                                                                  \
        }                                                                                                 \
    }

TILE(eng_tile1, COLS1, 1)
#if NV > 1
TILE(eng_tile2, COLS2, 2)
#endif
#if NV > 2
TILE(eng_tile3, COLS3, 3)
#endif

void eng_tile(int nv, A_AS const CT *a, long lda, int rows, __local const CT *b, int kc, __local CT *c, int ldc,
              int fresh, VT zero) {
#if NV > 2
    if (nv == 3) {
        eng_tile3(a, lda, rows, b, kc, c, ldc, fresh, zero);
        return;
    }
#endif
#if NV > 1
    if (nv == 2) {
        eng_tile2(a, lda, rows, b, kc, c, ldc, fresh, zero);
        return;
    }
#endif
    eng_tile1(a, lda, rows, b, kc, c, ldc, fresh, zero);
}
