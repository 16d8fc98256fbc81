// Implicit-GEMM convolution for devices with real local memory, and the plain fallback for every element type.
//
// One of OP_FORWARD, OP_INPUT, OP_WEIGHT names the product C[M][N] = A[M][K] * B[K][N] of a convolution group:
//   forward      M = oc    N = (image, output pixel)   K = (ic, tap)              A = w    B = x
//   grad-input   M = ic    N = (image, input pixel)    K = (oc, tap)              A = w    B = dy
//   grad-weight  M = oc    N = (ic, tap)               K = (image, output pixel)  A = dy   B = x
// eng_conv_tiled: a work-group of LX*LY items makes LY*TM x LX*TN elements of C, staging BK terms at a time.
// eng_conv_plain: one work-item an element of C.
//
// Options: ST (stored type), CT (type of the sum), T_F16 / T_BF16, LX, LY, TM, TN, BK.

#ifndef EPILOGUE
#define EPILOGUE_PARAMS
#define EPILOGUE(c, n, oc, pix0, npix)
#endif
#include "stored.h"

typedef struct {
    int c, oc, id, ih, iw, od, oh, ow, kd, kh, kw, sd, sh, sw, pd, ph, pw, dd, dh, dw;
    int ipix, opix, taps;
    long xn, yn;
} Geom;

// An index of a pixel or of a (channel, tap) pair taken apart.
typedef struct {
    int hi, z, y, x, flat;
} Site;

Site eng_site(int i, int d, int h, int w) {
    Site s;
    int pix = d * h * w;
    s.hi = i / pix;
    s.flat = i - s.hi * pix;
    int r = s.flat;
    s.z = r / (h * w);
    r -= s.z * h * w;
    s.y = r / w;
    s.x = r - s.y * w;
    return s;
}

#define OUT_SITE(i) eng_site((i), g->od, g->oh, g->ow)
#define IN_SITE(i) eng_site((i), g->id, g->ih, g->iw)
#define TAP_SITE(i) eng_site((i), g->kd, g->kh, g->kw)

// x at the input position that output site `o` sees through tap `t` (channel t.hi), or 0.
CT eng_see_x(__global const ST *x, const Geom *g, const Site *o, const Site *t) {
    const int z = o->z * g->sd - g->pd + t->z * g->dd;
    const int y = o->y * g->sh - g->ph + t->y * g->dh;
    const int w = o->x * g->sw - g->pw + t->x * g->dw;
    if ((uint)z >= (uint)g->id || (uint)y >= (uint)g->ih || (uint)w >= (uint)g->iw) return (CT)0;
    return FETCH(x, o->hi * g->xn + (long)t->hi * g->ipix + ((long)z * g->ih + y) * g->iw + w);
}

// dy at the output position that reaches input site `i` through tap `t` (channel t.hi), or 0.
CT eng_see_dy(__global const ST *dy, const Geom *g, const Site *i, const Site *t) {
    const int z = i->z + g->pd - t->z * g->dd;
    const int y = i->y + g->ph - t->y * g->dh;
    const int w = i->x + g->pw - t->x * g->dw;
    if (z < 0 || y < 0 || w < 0) return (CT)0;
    const int oz = z / g->sd, oy = y / g->sh, ox = w / g->sw;
    if (oz * g->sd != z || oy * g->sh != y || ox * g->sw != w || oz >= g->od || oy >= g->oh || ox >= g->ow)
        return (CT)0;
    return FETCH(dy, i->hi * g->yn + (long)t->hi * g->opix + ((long)oz * g->oh + oy) * g->ow + ox);
}

#if defined(OP_FORWARD)
#define SITE_N(n) OUT_SITE(n)
#define SITE_K(k) TAP_SITE(k)
#define AT_A(m, k) FETCH(a, (long)(m)*g->c * g->taps + (k))
#define AT_B(ks, ns) eng_see_x(b, g, &(ns), &(ks))
#elif defined(OP_INPUT)
#define SITE_N(n) IN_SITE(n)
#define SITE_K(k) TAP_SITE(k)
#define AT_A(m, k) FETCH(a, (long)((k) / g->taps) * g->c * g->taps + (long)(m)*g->taps + (k) % g->taps)
#define AT_B(ks, ns) eng_see_dy(b, g, &(ns), &(ks))
#else
#define SITE_N(n) TAP_SITE(n)
#define SITE_K(k) OUT_SITE(k)
#define AT_A(m, k) FETCH(a, (long)((k) / g->opix) * g->yn + (long)(m)*g->opix + (k) % g->opix)
#define AT_B(ks, ns) eng_see_x(b, g, &(ks), &(ns))
#endif

// a, b: operands; groups, c, oc: conv groups and channels a group; `ksplit` terms of K a split of the grid.
#define PARAMS                                                                                              \
    __global const ST *a, long a_off, __global const ST *b, long b_off, __global OT *out, long out_off,      \
        long batch, long groups, long c, long oc, long id, long ih, long iw, long od, long oh, long ow,      \
        long kd, long kh, long kw, long sd, long sh, long sw, long pd, long ph, long pw, long dd, long dh,   \
        long dw, long ksplit EPILOGUE_PARAMS

#define SETUP                                                                                               \
    Geom geom;                                                                                              \
    Geom *g = &geom;                                                                                        \
    g->c = (int)c, g->oc = (int)oc, g->id = (int)id, g->ih = (int)ih, g->iw = (int)iw, g->od = (int)od;      \
    g->oh = (int)oh, g->ow = (int)ow, g->kd = (int)kd, g->kh = (int)kh, g->kw = (int)kw, g->sd = (int)sd;    \
    g->sh = (int)sh, g->sw = (int)sw, g->pd = (int)pd, g->ph = (int)ph, g->pw = (int)pw, g->dd = (int)dd;    \
    g->dh = (int)dh, g->dw = (int)dw, g->ipix = (int)(id * ih * iw), g->opix = (int)(od * oh * ow);          \
    g->taps = (int)(kd * kh * kw);                                                                          \
    g->xn = groups * c * g->ipix, g->yn = groups * oc * g->opix;                                            \
    const int grp = (int)(get_group_id(2) % (uint)groups), split = (int)(get_group_id(2) / (uint)groups);    \
    SIZES                                                                                                   \
    const int k0 = split * (int)ksplit, k1 = k0 + (int)ksplit < KT ? k0 + (int)ksplit : KT;

#if defined(OP_FORWARD)
#define SIZES                                                                                               \
    const int M = g->oc, N = (int)batch * g->opix, KT = g->c * g->taps;                                      \
    a += a_off + (long)grp * M * KT, b += b_off + (long)grp * c * g->ipix, out += out_off;
#define PUT(m, n, v)                                                                                        \
    {                                                                                                       \
        const int im = (n) / g->opix, px = (n)-im * g->opix, ch = grp * g->oc + (m);                         \
        __global OT *o = out + im * g->yn + (long)ch * g->opix + px;                                         \
        PUT_ONE(o, v);                                                                                      \
        EPILOGUE(o, im, ch, px, 1);                                                                         \
    }
#elif defined(OP_INPUT)
#define SIZES                                                                                               \
    const int M = g->c, N = (int)batch * g->ipix, KT = g->oc * g->taps;                                      \
    a += a_off + (long)grp * M * KT, b += b_off + (long)grp * oc * g->opix, out += out_off;
#define PUT(m, n, v)                                                                                        \
    {                                                                                                       \
        const int im = (n) / g->ipix, px = (n)-im * g->ipix;                                                \
        PUT_ONE(out + im * g->xn + (long)(grp * g->c + (m)) * g->ipix + px, v);                              \
    }
#else
#define SIZES                                                                                               \
    const int M = g->oc, N = g->c * g->taps, KT = (int)batch * g->opix;                                      \
    a += a_off + (long)grp * oc * g->opix, b += b_off + (long)grp * c * g->ipix;                             \
    out += out_off + ((long)split * groups + grp) * M * N;
#define PUT(m, n, v) PUT_ONE(out + (long)(m)*N + (n), v)
#endif

#ifdef PARTIAL
typedef CT OT;
#define PUT_ONE(p, v) *(p) = (v)
#else
typedef ST OT;
#define PUT_ONE(p, v) STORE(p, 0, v)
#endif

// Global size (N, M, groups [* splits]).
KATTR __kernel void eng_conv_plain(PARAMS) {
    SETUP
    const int n = (int)get_global_id(0), m = (int)get_global_id(1);
    if (n >= N || m >= M) return;
    const Site ns = SITE_N(n);
    CT s = (CT)0;
    for (int k = k0; k < k1; k++) {
        const Site ks = SITE_K(k);
        s += AT_A(m, k) * AT_B(ks, ns);
    }
    PUT(m, n, s);
}

#ifdef LX
#define BM (LY * TM)
#define BN (LX * TN)
#define ITEMS (LX * LY)

// Local size (LX*LY, 1, 1); groups (ceil(N/BN), ceil(M/BM), groups [* splits]).
KATTR __kernel void eng_conv_tiled(PARAMS) {
    __local CT as[BK][BM + 1];
    __local CT bs[BK][BN + 1];
    SETUP
    const int item = (int)get_local_id(0), tx = item % LX, ty = item / LX;
    const int n0 = (int)get_group_id(0) * BN, m0 = (int)get_group_id(1) * BM;
    CT acc[TM][TN];
    for (int i = 0; i < TM; i++)
        for (int j = 0; j < TN; j++) acc[i][j] = (CT)0;
    for (int kb = k0; kb < k1; kb += BK) {
        for (int e = item; e < BK * BM; e += ITEMS) {
            const int k = e % BK, m = e / BK;
            as[k][m] = kb + k < k1 && m0 + m < M ? AT_A(m0 + m, kb + k) : (CT)0;
        }
        for (int e = item; e < BK * BN; e += ITEMS) {
#ifdef OP_WEIGHT
            const int k = e % BK, n = e / BK;
#else
            const int k = e / BN, n = e % BN;
#endif
            CT v = (CT)0;
            if (kb + k < k1 && n0 + n < N) {
                const Site ks = SITE_K(kb + k), ns = SITE_N(n0 + n);
                v = AT_B(ks, ns);
            }
            bs[k][n] = v;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int k = 0; k < BK; k++) {
            CT av[TM], bv[TN];
            for (int i = 0; i < TM; i++) av[i] = as[k][ty + i * LY];
            for (int j = 0; j < TN; j++) bv[j] = bs[k][tx + j * LX];
            for (int i = 0; i < TM; i++)
                for (int j = 0; j < TN; j++) acc[i][j] += av[i] * bv[j];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    for (int i = 0; i < TM; i++)
        for (int j = 0; j < TN; j++) {
            const int m = m0 + ty + i * LY, n = n0 + tx + j * LX;
            if (m < M && n < N) PUT(m, n, acc[i][j]);
        }
}
#endif

// Sum of the splits of a grad-weight.
KATTR __kernel void eng_conv_tiled_sum(__global const CT *part, long part_off, __global ST *out, long out_off, long n,
                                       long splits) {
    const long i = get_global_id(0);
    if (i >= n) return;
    CT s = (CT)0;
    for (long j = 0; j < splits; j++) s += part[part_off + j * n + i];
    STORE(out + out_off, i, s);
}
