// Implicit-GEMM convolution for CPU devices: one work-item per work-group, explicit vectors.
//
// eng_conv_fwd      out[n][oc][pix] = sum_k w[oc][k] * im2col(x)[k][pix]
// eng_conv_wgrad    dw[oc][k]       = sum_pix dy[n][oc][pix] * im2col(x)[k][pix]
//
// Pixels (n, oz, oy, ox) are flattened; im2col rows are packed into local memory block by block, a vector of VW
// pixels at a time. Such a vector is a few runs ("segments") of consecutive input elements, one per output row it
// touches, so it is built from unaligned loads and lane masks; padding is a mask too.
//
// Options: VW lanes, MR rows and NV vectors of the register tile, PANEL and CBUF sizes of the local buffers in
// elements, CT_DOUBLE, OP_FORWARD, OP_WEIGHT or OP_CAST, PHASED (strided grad-input), T_F16 / T_BF16 (stored type).

#ifndef KATTR
#define KATTR
#endif
#ifndef EPILOGUE
#define EPILOGUE_PARAMS
#define EPILOGUE(c, n, oc, pix0, npix)
#endif

#ifdef CT_DOUBLE
#ifdef cl_khr_fp64
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#endif
typedef double CT;
typedef long IT;
#define CT_NAME double
#define IT_NAME long
#else
typedef float CT;
typedef int IT;
#define CT_NAME float
#define IT_NAME int
#endif
#define GLUE2(a, b) a##b
#define GLUE(a, b) GLUE2(a, b)
typedef GLUE(CT_NAME, VW) VT;
typedef GLUE(IT_NAME, VW) IV;
typedef GLUE(GLUE(u, IT_NAME), VW) UV;
typedef VT VU __attribute__((aligned(sizeof(CT))));

#if defined(T_F16)
typedef half ST;
#define STORE(p, i, v) vstore_half((v), (i), (p))
#elif defined(T_BF16)
typedef ushort ST;
ushort eng_to_bf16(float v) {
    uint u = as_uint(v);
    return (u & 0x7fffffffu) > 0x7f800000u ? (ushort)0x7fc0 : (ushort)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}
#define STORE(p, i, v) ((p)[i] = eng_to_bf16(v))
#else
typedef CT ST;
#define STORE(p, i, v) ((p)[i] = (v))
#endif

#if VW == 16
#define AS_UV(v) GLUE(as_, GLUE(GLUE(u, IT_NAME), 16))(v)
#elif VW == 8
#define AS_UV(v) GLUE(as_, GLUE(GLUE(u, IT_NAME), 8))(v)
#else
#define AS_UV(v) GLUE(as_, GLUE(GLUE(u, IT_NAME), 4))(v)
#endif

#define MAXSEG 4

// One convolution: x [n][xc][id][ih][iw], output grid od*oh*ow, all in elements.
typedef struct {
    int n, c, id, ih, iw, od, oh, ow, kd, kh, kw, sd, sh, sw, pd, ph, pw, dd, dh, dw;
    long xn, xc, total;
} Geom;

#ifdef OP_WEIGHT
#define A_AS __local
#else
#define A_AS __global
#endif

// ---------------------------------------------------------------- packing

#define LOADX(p) (*(__global const VU *)(p))
#ifdef __clang__
#define INLINE __attribute__((always_inline)) static
#else
#define INLINE
#endif
#ifdef ENGINE_CLANG_CPU
#define PREFETCH(p) __builtin_prefetch((const void *)(size_t)(p))
#else
#define PREFETCH(p)
#endif

#define MAXROWS 64

// VW pixels: coordinates of each lane in the input, and the segments of a vector that can be loaded as such.
typedef struct {
    IT x[VW];
    int y[VW], z[VW];
    long base[VW];
    int nseg, start[MAXSEG], sy[MAXSEG], sz[MAXSEG];
    long off[MAXSEG], lowest, highest;
} Lanes;

INLINE VT eng_load_run(__global const CT *p, const int sw) {
    if (sw == 1) return LOADX(p);
    VT lo = LOADX(p), hi = LOADX(p + VW), r;
    r.lo = lo.even;
    r.hi = hi.even;
    return r;
}

// Lanes of the VW pixels from px0 on; those from npx on lie outside every row.
void eng_lanes(const Geom *g, uint px0, uint npx, Lanes *l) {
    const uint plane = (uint)(g->oh * g->ow);
    const uint n = px0 / (plane * (uint)g->od);
    uint r = px0 - n * (plane * (uint)g->od);
    const uint oz = r / plane;
    r -= oz * plane;
    const uint oy = r / (uint)g->ow;
    int ox = (int)(r - oy * (uint)g->ow), nseg = 0;
    int z = (int)oz * g->sd - g->pd, y = (int)oy * g->sh - g->ph;
    long base = (long)n * g->xn, lowest = (long)1 << 60, highest = -lowest;
    const int ylim = g->oh * g->sh - g->ph, zlim = g->od * g->sd - g->pd;
    for (int i = 0; i < VW; i++) {
        const int inside = px0 + (uint)i < npx;
        l->x[i] = inside ? ox * g->sw - g->pw : -(1 << 30);
        l->y[i] = y;
        l->z[i] = z;
        l->base[i] = base;
        if (!inside) continue;
        if (i == 0 || ox == 0) {
            const long o = base + (ox - i) * g->sw - g->pw;
            if (nseg < MAXSEG) {
                l->start[nseg] = i;
                l->sy[nseg] = y;
                l->sz[nseg] = z;
                l->off[nseg] = o;
            }
            nseg++;
            const int y0 = y < 0 ? 0 : y, z0 = z < 0 ? 0 : z;
            int y1 = y + (g->kh - 1) * g->dh, z1 = z + (g->kd - 1) * g->dd;
            y1 = y1 > g->ih - 1 ? g->ih - 1 : y1;
            z1 = z1 > g->id - 1 ? g->id - 1 : z1;
            const long a = o + ((long)z0 * g->ih + y0) * g->iw;
            const long b = o + ((long)z1 * g->ih + y1) * g->iw + (g->kw - 1) * g->dw + VW * g->sw;
            lowest = a < lowest ? a : lowest;
            highest = b > highest ? b : highest;
        }
        if (++ox == g->ow) {
            ox = 0;
            y += g->sh;
            if (y == ylim) {
                y = -g->ph;
                z += g->sd;
                if (z == zlim) {
                    z = -g->pd;
                    base += g->xn;
                }
            }
        }
    }
    l->nseg = nseg;
    l->lowest = lowest;
    l->highest = highest;
}

// The rows of channels c0..c1 (pointer x is at channel 0), all loads inside the tensor. `near`: prefetch distance.
INLINE void eng_pack_fast(__global const CT *x, const Geom *g, const Lanes *l, const int masked, const int c0,
                          const int c1, __local CT *dst, const int dst_stride, const int near, const int kw,
                          const int sw, const int one) {
    long at[MAXROWS * MAXSEG];
    int state[MAXROWS];
    const int rows = g->kd * g->kh, nseg = one ? 1 : l->nseg, dw = g->dw;
    for (int t = 0; t < rows; t++) {
        int bits = 0;
        for (int s = 0; s < nseg; s++) {
            const int z = l->sz[s] + t / g->kh * g->dd, y = l->sy[s] + t % g->kh * g->dh;
            bits |= ((uint)z < (uint)g->id && (uint)y < (uint)g->ih) << s;
            at[t * MAXSEG + s] = l->off[s] + ((long)z * g->ih + y) * g->iw;
        }
        state[t] = bits;
    }
    IV lane;
    for (int i = 0; i < VW; i++) ((IT *)&lane)[i] = i;
    const IV ix = *(const IV *)l->x;
    const UV width = (UV)(g->iw);
    const IV second = lane >= (IV)(nseg > 1 ? l->start[1] : VW);
    const IV third = lane >= (IV)(nseg > 2 ? l->start[2] : VW);
    const IV fourth = lane >= (IV)(nseg > 3 ? l->start[3] : VW);
    x += (long)c0 * g->xc;
    for (int c = c0; c < c1; c++) {
        for (int t = 0; t < rows; t++) {
            const int bits = state[t];
            const long *o = at + t * MAXSEG;
            if (bits) PREFETCH(x + o[0] + near);
            _Pragma("unroll 3") for (int kx = 0; kx < kw; kx++) {
                VT v = (VT)(0);
                if (one) {
                    if (bits) v = eng_load_run(x + o[0] + kx * dw, sw);
                } else {
                    if (bits & 1) v = eng_load_run(x + o[0] + kx * dw, sw);
                    v = second ? bits & 2 ? eng_load_run(x + o[1] + kx * dw, sw) : (VT)(0) : v;
                    if (nseg > 2) v = third ? bits & 4 ? eng_load_run(x + o[2] + kx * dw, sw) : (VT)(0) : v;
                    if (nseg > 3) v = fourth ? bits & 8 ? eng_load_run(x + o[3] + kx * dw, sw) : (VT)(0) : v;
                }
                if (masked) v = AS_UV(ix + (IV)(kx * dw)) < width ? v : (VT)(0);
                *(__local VT *)dst = v;
                dst += dst_stride;
            }
        }
        x += g->xc;
    }
}

// The same, an element at a time: any number of segments, any stride, nothing read outside the tensor.
void eng_pack_slow(__global const CT *x, const Geom *g, const Lanes *l, int c0, int c1, __local CT *dst,
                   int dst_stride) {
    for (int c = c0; c < c1; c++)
        for (int kz = 0; kz < g->kd; kz++)
            for (int ky = 0; ky < g->kh; ky++)
                for (int kx = 0; kx < g->kw; kx++) {
                    for (int i = 0; i < VW; i++) {
                        const int xx = (int)l->x[i] + kx * g->dw, yy = l->y[i] + ky * g->dh, zz = l->z[i] + kz * g->dd;
                        const int ok = (uint)xx < (uint)g->iw && (uint)yy < (uint)g->ih && (uint)zz < (uint)g->id;
                        dst[i] = ok ? x[c * g->xc + l->base[i] + ((long)zz * g->ih + yy) * g->iw + xx] : (CT)0;
                    }
                    dst += dst_stride;
                }
}

// The same where every lane sees every tap inside the image (no padding, a full vector): no conditions.
void eng_pack_inside(__global const CT *x, const Geom *g, const Lanes *l, int c0, int c1, __local CT *dst,
                     int dst_stride) {
    long at[VW];
    for (int i = 0; i < VW; i++) at[i] = l->base[i] + ((long)l->z[i] * g->ih + l->y[i]) * g->iw + (int)l->x[i];
    for (int c = c0; c < c1; c++)
        for (int kz = 0; kz < g->kd; kz++)
            for (int ky = 0; ky < g->kh; ky++) {
                __global const CT *p = x + c * g->xc + ((long)kz * g->dd * g->ih + ky * g->dh) * g->iw;
                for (int kx = 0; kx < g->kw; kx++) {
                    for (int i = 0; i < VW; i++) dst[i] = p[at[i]];
                    p += g->dw;
                    dst += dst_stride;
                }
            }
}

// Pack rows (c0..c0+cn) x taps of the VW pixels from px0 on into dst, rows dst_stride elements apart; lanes from npx
// on are zero. c0 counts from the pointer x, which lies lo elements after the tensor's start. `zero` is zero: a vector
// parameter tells clang that the function may use registers of that width.
void eng_pack_vec(__global const CT *x, long lo, const Geom *g, uint px0, uint npx, int c0, int cn, __local CT *dst,
                  int dst_stride, int near, VT zero) {
    Lanes l;
    eng_lanes(g, px0, npx, &l);
    const int rows = g->kd * g->kh;
    if (l.nseg > MAXSEG || g->sw > 2 || rows > MAXROWS) {
        const int inside = px0 + VW <= npx && g->pd <= 0 && g->ph <= 0 && g->pw <= 0 &&
                           (g->od - 1) * g->sd - g->pd + (g->kd - 1) * g->dd < g->id &&
                           (g->oh - 1) * g->sh - g->ph + (g->kh - 1) * g->dh < g->ih &&
                           (g->ow - 1) * g->sw - g->pw + (g->kw - 1) * g->dw < g->iw;
        if (inside) {
            eng_pack_inside(x, g, &l, c0, c0 + cn, dst, dst_stride);
            return;
        }
        eng_pack_slow(x, g, &l, c0, c0 + cn, dst, dst_stride);
        return;
    }
    // Channels whose loads may leave the tensor: some first ones, some last ones.
    int c1 = c0, c2 = c0 + cn;
    while (c1 < c2 && lo + c1 * g->xc + l.lowest < 0) c1++;
    while (c2 > c1 && lo + (c2 - 1) * g->xc + l.highest > g->total) c2--;
    const int taps = rows * g->kw;
    if (c1 > c0) eng_pack_slow(x, g, &l, c0, c1, dst, dst_stride);
    if (c2 < c0 + cn) eng_pack_slow(x, g, &l, c2, c0 + cn, dst + (c2 - c0) * taps * dst_stride, dst_stride);
    if (c1 >= c2) return;
    dst += (c1 - c0) * taps * dst_stride;
    const int masked = g->pw > 0 || px0 + VW > npx || (g->ow - 1) * g->sw + (g->kw - 1) * g->dw - g->pw >= g->iw;
    const int one = l.nseg == 1;
    if (g->sw == 2) {
        if (one)
            eng_pack_fast(x, g, &l, masked, c1, c2, dst, dst_stride, near, g->kw, 2, 1);
        else
            eng_pack_fast(x, g, &l, masked, c1, c2, dst, dst_stride, near, g->kw, 2, 0);
    } else if (g->kw == 3) {
        if (one)
            eng_pack_fast(x, g, &l, masked, c1, c2, dst, dst_stride, near, 3, 1, 1);
        else
            eng_pack_fast(x, g, &l, masked, c1, c2, dst, dst_stride, near, 3, 1, 0);
    } else if (g->kw == 1 && one) {
        eng_pack_fast(x, g, &l, masked, c1, c2, dst, dst_stride, near, 1, 1, 1);
    } else
        eng_pack_fast(x, g, &l, masked, c1, c2, dst, dst_stride, near, g->kw, 1, 0);
}

// `count` vectors, `gap` elements apart in dst. (Also keeps eng_pack_vec itself out of line under flatten.)
void eng_pack_vecs(__global const CT *x, long lo, const Geom *g, uint px0, uint npx, int c0, int cn, __local CT *dst,
                   int dst_stride, int near, int count, VT zero) {
    for (int j = 0; j < count; j++)
        eng_pack_vec(x, lo, g, px0 + (uint)(j * VW), npx, c0, cn, dst + j * VW, dst_stride, near, zero);
}

// ---------------------------------------------------------------- register tile

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

// ---------------------------------------------------------------- forward

#ifdef PHASED
// Strided grad-input: the input positions i = r + s*t of one phase r are a stride-1 convolution of dy.
// i, p, k, s, d describe the forward convolution. Out: number of taps, first tap, tap step, padding, dilation, positions.
void eng_phase(int r, int i, int p, int k, int s, int d, int *taps, int *pad, int *dil, int *count) {
    int k0 = 0;
    while (k0 < k && (((r + p - k0 * d) % s) + s) % s != 0) k0++;
    int ks = 1;
    while ((ks * d) % s != 0) ks++;
    const int j = k0 < k ? (k - 1 - k0) / ks + 1 : 0;
    *taps = j;
    *dil = ks * d / s;
    *pad = -((r + p - k0 * d) / s - (j - 1) * (*dil));
    *count = i > r ? (i - r + s - 1) / s : 0;
}
#endif

#ifdef OP_FORWARD
// cbuf[rows][ldc] = the convolution of `count` vectors of pixels from px0 on, cb input channels at a time; one channel
// and part of a kernel row at a time where the kernel is too large for the panel.
void eng_conv_block(__global const CT *x, long xlo, const Geom *g, __global const CT *w, int rows, uint px0, uint npx,
                    int count, int cb, __local CT *panel, __local CT *cbuf, VT zero) {
    const int taps = g->kd * g->kh * g->kw, ldc = count * VW;
    const long wrow = (long)g->c * taps;
    const int whole = taps * VW <= PANEL;
    Geom part = *g;
    for (int i = 0; taps == 0 && i < rows * ldc; i++) cbuf[i] = (CT)0;
    for (int c0 = 0; c0 < g->c; c0 += cb) {
        const int cn = g->c - c0 < cb ? g->c - c0 : cb;
        int tn = taps;
        for (int t0 = 0; t0 < taps; t0 += tn) {
            if (!whole) {
                const int kx = t0 % g->kw, left = g->kw - kx;
                part.kd = part.kh = 1;
                part.kw = tn = left < PANEL / VW ? left : PANEL / VW;
                part.pd = g->pd - t0 / (g->kw * g->kh) * g->dd;
                part.ph = g->ph - t0 / g->kw % g->kh * g->dh;
                part.pw = g->pw - kx * g->dw;
            }
            const int fit = PANEL / (cn * tn * VW), most = fit < NV ? fit : NV;
            int nv;
            for (int v = 0; v < count; v += nv) {
                nv = count - v < most ? count - v : most;
                if (nv == 3 && count - v == 4) nv = 2;
                eng_pack_vecs(x, xlo, &part, px0 + (uint)(v * VW), npx, c0, cn, panel, nv * VW, NV * VW * g->sw, nv,
                              zero);
                for (int m = 0; m < rows; m += MR)
                    eng_tile(nv, w + m * wrow + (long)c0 * taps + t0, wrow, rows - m, panel, cn * tn,
                             cbuf + (long)m * ldc + v * VW, ldc, c0 == 0 && t0 == 0, zero);
            }
        }
    }
}

// Group (px block, oc block, conv group), PHASED (conv group x phase of z and y, oc block, px block). w: [groups][oc][c*kd*kh*kw] (phased: a slot of `slot`
// elements a phase). out: [n][groups*oc][...].  mc, nc: output channels and pixels a work-group, cb: input channels a
// step. PHASED: the geometry is that of the forward convolution seen from its input (id.. = input, od.. = dy); a group
// makes all phases of x, nc input positions each.
KATTR __kernel void eng_conv_fwd(__global const CT *x, long x_off, __global const CT *w, long w_off, __global ST *out,
                                 long out_off, long batch, long groups, long c, long oc, long id, long ih, long iw,
                                 long od, long oh, long ow, long kd, long kh, long kw, long sd, long sh, long sw,
                                 long pd, long ph, long pw, long dd, long dh, long dw, long mc, long nc, long cb,
                                 long slot EPILOGUE_PARAMS) {
    __local CT panel[PANEL] __attribute__((aligned(64)));
    __local CT cbuf[CBUF] __attribute__((aligned(64)));
    Geom g;
    // Phases differ in work: they take turns.
#ifdef PHASED
    const int gz = (int)get_group_id(0), gx = (int)get_group_id(2);
#else
    const int gz = (int)get_group_id(2), gx = (int)get_group_id(0);
#endif
    const int grp = gz % (int)groups;
    g.n = (int)batch;
    g.c = (int)c;
#ifdef PHASED
    const int ry = gz / (int)groups % (int)sh, rz = gz / (int)(groups * sh);
    const int tw = (int)((iw + sw - 1) / sw);
    int unused;
    eng_phase(rz, (int)id, (int)pd, (int)kd, (int)sd, (int)dd, &g.kd, &g.pd, &g.dd, &g.od);
    eng_phase(ry, (int)ih, (int)ph, (int)kh, (int)sh, (int)dh, &g.kh, &g.ph, &g.dh, &g.oh);
    g.ow = tw;
    g.sd = g.sh = g.sw = 1;
    g.id = (int)od, g.ih = (int)oh, g.iw = (int)ow;
    const long opix = id * ih * iw;
#else
    g.id = (int)id, g.ih = (int)ih, g.iw = (int)iw, g.od = (int)od, g.oh = (int)oh, g.ow = (int)ow;
    g.kd = (int)kd, g.kh = (int)kh, g.kw = (int)kw, g.sd = (int)sd, g.sh = (int)sh, g.sw = (int)sw;
    g.pd = (int)pd, g.ph = (int)ph, g.pw = (int)pw, g.dd = (int)dd, g.dh = (int)dh, g.dw = (int)dw;
    const long opix = od * oh * ow;
#endif
    g.xc = (long)g.id * g.ih * g.iw;
    g.xn = g.xc * c * groups;
    g.total = g.xn * batch;
    const int pix = g.od * g.oh * g.ow;
    const uint npx = (uint)(batch * pix);
    const uint px0 = (uint)(gx * nc);
    const int m0 = (int)(get_group_id(1) * mc);
    if (px0 >= npx) return;
    const int rows = (int)(oc - m0 < mc ? oc - m0 : mc);
    const int ncols = (int)(npx - px0 < (uint)nc ? npx - px0 : (uint)nc);
    const int nvec = (ncols + VW - 1) / VW;
    const int ldc = nvec * VW;
    const long xlo = (long)grp * c * g.xc;
    x += x_off + xlo;
    w += w_off;
#ifdef PHASED
    const int slab = (int)(mc * nc);
    for (int rx = 0; rx < (int)sw; rx++) {
        eng_phase(rx, (int)iw, (int)pw, (int)kw, (int)sw, (int)dw, &g.kw, &g.pw, &g.dw, &unused);
        eng_conv_block(x, xlo, &g,
                       w + ((rz * sh + ry) * sw + rx) * slot + ((long)grp * oc + m0) * c * g.kd * g.kh * g.kw, rows,
                       px0, npx, nvec, (int)cb, panel, cbuf + rx * slab, (VT)(0));
    }
#else
    eng_conv_block(x, xlo, &g, w + ((long)grp * oc + m0) * c * g.kd * g.kh * g.kw, rows, px0, npx, nvec, (int)cb,
                   panel, cbuf, (VT)(0));
#endif
    // Final values: runs of pixels of one image.
    for (int m = 0; m < rows; m++) {
        const int ch = grp * (int)oc + m0 + m;
        int done = 0;
        while (done < ncols) {
            const int n = (int)((px0 + (uint)done) / (uint)pix);
            const int p0 = (int)(px0 + (uint)done - (uint)n * (uint)pix);
            const int len = pix - p0 < ncols - done ? pix - p0 : ncols - done;
            __global ST *o = out + out_off + ((long)n * groups * oc + ch) * opix;
            __local const CT *s = cbuf + (long)m * ldc + done;
#ifdef PHASED
            for (int p = p0; p < p0 + len;) {
                const int tx = p % tw, ty = p / tw % g.oh, tz = p / (tw * g.oh);
                const int run = tw - tx < p0 + len - p ? tw - tx : p0 + len - p;
                __global ST *q = o + ((rz + tz * sd) * ih + ry + ty * sh) * iw + tx * sw;
                // The last position of a row may lack some phases.
                const int left = (int)iw - tx * (int)sw, full = run * (int)sw <= left ? run : run - 1;
                if (sw == 2)
                    for (int i = 0; i < full; i++) {
                        STORE(q, 2 * i, s[i]);
                        STORE(q, 2 * i + 1, s[i + slab]);
                    }
                else
                    for (int i = 0; i < full; i++)
                        for (int rx = 0; rx < (int)sw; rx++) STORE(q, i * sw + rx, s[i + rx * slab]);
                for (int rx = 0; full < run && full * (int)sw + rx < left; rx++)
                    STORE(q, full * sw + rx, s[full + rx * slab]);
                s += run;
                p += run;
            }
#else
            o += p0;
            for (int i = 0; i < len; i++) STORE(o, i, s[i]);
            EPILOGUE(o, n, ch, p0, len);
#endif
            done += len;
        }
    }
}
#endif

// ---------------------------------------------------------------- transposition of VW x VW in registers

#define ZIP(d0, d1, a, b) d0.even = a.lo, d0.odd = b.lo, d1.even = a.hi, d1.odd = b.hi;
#if VW == 16
#define EACH_ROW(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11) M(12) M(13) M(14) M(15)
#define ROUND(d, s)                                                                                       \
    ZIP(d##0, d##1, s##0, s##8) ZIP(d##2, d##3, s##1, s##9) ZIP(d##4, d##5, s##2, s##10)                  \
    ZIP(d##6, d##7, s##3, s##11) ZIP(d##8, d##9, s##4, s##12) ZIP(d##10, d##11, s##5, s##13)              \
    ZIP(d##12, d##13, s##6, s##14) ZIP(d##14, d##15, s##7, s##15)
#define ROUNDS ROUND(u, r) ROUND(r, u) ROUND(u, r) ROUND(r, u)
#elif VW == 8
#define EACH_ROW(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7)
#define ROUND(d, s)                                                                                       \
    ZIP(d##0, d##1, s##0, s##4) ZIP(d##2, d##3, s##1, s##5) ZIP(d##4, d##5, s##2, s##6)                   \
    ZIP(d##6, d##7, s##3, s##7)
#define ROUNDS ROUND(u, r) ROUND(r, u) ROUND(u, r) EACH_ROW(COPY_BACK)
#else
#define EACH_ROW(M) M(0) M(1) M(2) M(3)
#define ROUND(d, s) ZIP(d##0, d##1, s##0, s##2) ZIP(d##2, d##3, s##1, s##3)
#define ROUNDS ROUND(u, r) ROUND(r, u)
#endif
#define COPY_BACK(i) r##i = u##i;
#define DECLARE(i) VT r##i, u##i;

#if defined(OP_FORWARD) && !defined(PHASED)
// b[i*bs + j] = a[j*as + i] for i, j < VW.
void eng_transpose(__global const CT *a, long as, __global CT *b, long bs, VT zero) {
    EACH_ROW(DECLARE)
#define LOAD_SRC(i) r##i = *(__global const VU *)(a + i * as);
#define STORE_DST(i) *(__global VU *)(b + i * bs) = r##i;
    EACH_ROW(LOAD_SRC)
    ROUNDS
    EACH_ROW(STORE_DST)
}

// Channels c0..c1 of pointwise weights [oc][ic] as [ic][oc].
void eng_flip_pointwise(__global const CT *w, __global CT *wt, int ic, int oc, int c0, int c1, VT zero) {
    for (int o = 0; o < oc; o += VW)
        for (int c = c0; c < c1; c += VW) {
            if (o + VW <= oc && c + VW <= c1)
                eng_transpose(w + (long)o * ic + c, ic, wt + (long)c * oc + o, oc, zero);
            else
                for (int i = c; i < c1 && i < c + VW; i++)
                    for (int j = o; j < oc && j < o + VW; j++) wt[(long)i * oc + j] = w[(long)j * ic + i];
        }
}

typedef GLUE(CT_NAME, 8) V8;
typedef V8 V8U __attribute__((aligned(sizeof(CT))));

// Channels whose weights are turned around together: so many streams are written.
#define STREAMS 8

// The same for 3x3: nine values turned around.
void eng_flip_3x3(__global const CT *w, __global CT *wt, int ic, int oc, int c0, int c1, VT zero) {
    for (int cb = c0; cb < c1; cb += STREAMS)
        for (int o = 0; o < oc; o++) {
            __global const CT *a = w + ((long)o * ic + cb) * 9;
            __global CT *b = wt + ((long)cb * oc + o) * 9;
            for (int c = cb; c < c1 && c < cb + STREAMS; c++) {
                *(__global V8U *)b = (*(__global const V8U *)(a + 1)).s76543210;
                b[8] = a[0];
                a += 9;
                b += (long)oc * 9;
            }
        }
}

// The same for any taps: wt[ic][oc][t] = w[oc][ic][from[t]], rows of w `all` taps long.
void eng_flip_taps(__global const CT *w, __global CT *wt, int ic, int oc, int c0, int c1, int all, const int *from,
                   int taps) {
    for (int cb = c0; cb < c1; cb += STREAMS)
        for (int o = 0; o < oc; o++)
            for (int c = cb; c < c1 && c < cb + STREAMS; c++) {
                __global const CT *a = w + ((long)o * ic + c) * all;
                __global CT *b = wt + ((long)c * oc + o) * taps;
                for (int t = 0; t < taps; t++) b[t] = a[from[t]];
            }
}

#define MAX_FROM 128

// Weights of the stride-1 convolution(s) that grad-input is: wt[phase][groups][ic][oc][taps of the phase, reversed].
// Group (block of cb input channels, conv group, phase).
KATTR __kernel void eng_conv_flip(__global const CT *w, long w_off, __global CT *wt, long wt_off, long groups, long ic,
                                  long oc, long kd, long kh, long kw, long sd, long sh, long sw, long pd, long ph,
                                  long pw, long dd, long dh, long dw, long cb, long slot) {
    const int phase = (int)get_group_id(2), grp = (int)get_group_id(1);
    const int c0 = (int)(get_group_id(0) * cb), c1 = (int)(c0 + cb < ic ? c0 + cb : ic);
    const int r[3] = {phase / (int)(sw * sh), phase / (int)sw % (int)sh, phase % (int)sw};
    const int k[3] = {(int)kd, (int)kh, (int)kw}, s[3] = {(int)sd, (int)sh, (int)sw};
    const int p[3] = {(int)pd, (int)ph, (int)pw}, d[3] = {(int)dd, (int)dh, (int)dw};
    int first[3], step[3], num[3];
    for (int a = 0; a < 3; a++) {
        int k0 = 0, ks = 1;
        while (k0 < k[a] && (((r[a] + p[a] - k0 * d[a]) % s[a]) + s[a]) % s[a] != 0) k0++;
        while ((ks * d[a]) % s[a] != 0) ks++;
        first[a] = k0;
        step[a] = ks;
        num[a] = k0 < k[a] ? (k[a] - 1 - k0) / ks + 1 : 0;
    }
    const int taps = num[0] * num[1] * num[2], all = (int)(kd * kh * kw);
    if (taps == 0) return;
    w += w_off + grp * oc * ic * all;
    wt += wt_off + phase * slot + grp * ic * oc * taps;
    int from[MAX_FROM], i = 0;
    for (int z = num[0] - 1; z >= 0 && taps <= MAX_FROM; z--)
        for (int y = num[1] - 1; y >= 0; y--)
            for (int x = num[2] - 1; x >= 0; x--)
                from[i++] = ((first[0] + z * step[0]) * (int)kh + first[1] + y * step[1]) * (int)kw + first[2] +
                            x * step[2];
    if (all == 1 && taps == 1)
        eng_flip_pointwise(w, wt, (int)ic, (int)oc, c0, c1, (VT)(0));
    else if (taps == all && all == 9)
        eng_flip_3x3(w, wt, (int)ic, (int)oc, c0, c1, (VT)(0));
    else if (taps <= MAX_FROM)
        eng_flip_taps(w, wt, (int)ic, (int)oc, c0, c1, all, from, taps);
    else
        for (int o = 0; o < (int)oc; o++)
            for (int c = c0; c < c1; c++) {
                __global const CT *a = w + ((long)o * ic + c) * all;
                __global CT *b = wt + ((long)c * oc + o) * taps;
                for (int z = num[0] - 1; z >= 0; z--)
                    for (int y = num[1] - 1; y >= 0; y--)
                        for (int x = num[2] - 1; x >= 0; x--)
                            *b++ = a[((first[0] + z * step[0]) * kh + first[1] + y * step[1]) * kw + first[2] +
                                     x * step[2]];
            }
}
#endif

#ifdef OP_CAST
// 16-bit floats to float.
KATTR __kernel void eng_conv_cast(__global const ST *a, long a_off, __global float *b, long b_off, long n, long chunk) {
    const long i0 = get_group_id(0) * chunk, i1 = i0 + chunk < n ? i0 + chunk : n;
    a += a_off;
    b += b_off;
    for (long i = i0; i < i1; i++)
#ifdef T_F16
        b[i] = vload_half(i, a);
#else
        b[i] = as_float((uint)a[i] << 16);
#endif
}
#endif

// ---------------------------------------------------------------- grad-weight

#ifdef OP_WEIGHT

// Transpose VW pixels x VW channels of dy into dst[pixel][dst_stride]. src: pixel px0 of the first channel.
void eng_pack_dy(__global const CT *src, long channel_stride, __local CT *dst, int dst_stride, VT zero) {
    EACH_ROW(DECLARE)
#define LOAD_ROW(i) r##i = *(__global const VU *)(src + i * channel_stride);
#define STORE_ROW(i) *(__local VT *)(dst + i * dst_stride) = r##i;
    EACH_ROW(LOAD_ROW)
    ROUNDS
    EACH_ROW(STORE_ROW)
}

// dst[channel][k..k+VW) from a tile src[k][channel] of the accumulator.
void eng_put_dw(__local const CT *src, int src_stride, __global CT *dst, long dst_stride, VT zero) {
    EACH_ROW(DECLARE)
#define LOAD_ACC(i) r##i = *(__local const VT *)(src + i * src_stride);
#define STORE_DW(i) *(__global VU *)(dst + i * dst_stride) = r##i;
    EACH_ROW(LOAD_ACC)
    ROUNDS
    EACH_ROW(STORE_DW)
}

// Group (block of cb input channels, block of mc output channels, conv group x split of the pixels).
// out: [splits][groups*oc][c*taps]. kp: pixels packed at a time, span: pixels of a split (a multiple of kp).
// PANEL: kp * NV * VW; ROWS_BUF: im2col rows * kp; CBUF: rows (rounded up to MR) * mc.
KATTR __kernel void eng_conv_wgrad(__global const CT *x, long x_off, __global const CT *dy, long dy_off,
                                   __global CT *out, long out_off, long batch, long groups, long c, long oc, long id,
                                   long ih, long iw, long od, long oh, long ow, long kd, long kh, long kw, long sd,
                                   long sh, long sw, long pd, long ph, long pw, long dd, long dh, long dw, long mc,
                                   long cb, long kp, long span, long splits) {
    __local CT panel[PANEL] __attribute__((aligned(64)));
    __local CT rows_buf[ROWS_BUF] __attribute__((aligned(64)));
    __local CT cbuf[CBUF] __attribute__((aligned(64)));
    Geom g;
    g.n = (int)batch, g.c = (int)c;
    g.id = (int)id, g.ih = (int)ih, g.iw = (int)iw, g.od = (int)od, g.oh = (int)oh, g.ow = (int)ow;
    g.kd = (int)kd, g.kh = (int)kh, g.kw = (int)kw, g.sd = (int)sd, g.sh = (int)sh, g.sw = (int)sw;
    g.pd = (int)pd, g.ph = (int)ph, g.pw = (int)pw, g.dd = (int)dd, g.dh = (int)dh, g.dw = (int)dw;
    g.xc = id * ih * iw;
    g.xn = g.xc * c * groups;
    g.total = g.xn * batch;
    const int grp = (int)(get_group_id(2) % groups), split = (int)(get_group_id(2) / groups);
    const int taps = (int)(kd * kh * kw);
    const int c0 = (int)(get_group_id(0) * cb), cn = (int)(c - c0 < cb ? c - c0 : cb);
    const int m0 = (int)(get_group_id(1) * mc), mn = (int)(oc - m0 < mc ? oc - m0 : mc);
    const int nvec = (mn + VW - 1) / VW, ldc = nvec * VW, rows = cn * taps;
    const int pix = (int)(od * oh * ow);
    const uint npx = (uint)(batch * pix);
    const uint begin = (uint)(split * span), end = begin + (uint)span < npx ? begin + (uint)span : npx;
    const long xlo = (long)grp * c * g.xc, yn = (long)pix * oc * groups;
    x += x_off + xlo;
    dy += dy_off + (grp * oc + m0) * pix;
    out += out_off + ((long)split * groups * oc + grp * oc + m0) * c * taps + c0 * taps;
    if (begin >= end)
        for (int i = 0; i < rows * ldc; i++) cbuf[i] = (CT)0;
    for (uint p0 = begin; p0 < end; p0 += (uint)kp) {
        const int pn = end - p0 < (uint)kp ? (int)(end - p0) : (int)kp;
        eng_pack_vecs(x, xlo, &g, p0, npx, c0, cn, rows_buf, (int)kp, VW * g.sw, (pn + VW - 1) / VW, (VT)(0));
        int nv;
        for (int v = 0; v < nvec; v += nv) {
            nv = nvec - v < NV ? nvec - v : NV;
#if NV == 3
            if (nvec - v == 4) nv = 2;
#endif
            const int width = nv * VW;
            for (int p = 0; p < pn; p += VW) {
                const uint n = (p0 + (uint)p) / (uint)pix;
                const int q = (int)(p0 + (uint)p - n * (uint)pix);
                __global const CT *src = dy + (long)n * yn + (long)v * VW * pix + q;
                for (int j = 0; j < nv; j++, src += (long)VW * pix) {
                    __local CT *dst = panel + p * width + j * VW;
                    const int left = mn - (v + j) * VW;
                    if (left >= VW && q + VW <= pix)
                        eng_pack_dy(src, pix, dst, width, (VT)(0));
                    else {
                        __global const CT *s = src;
                        int qq = q;
                        for (int i = 0; i < VW && p + i < pn; i++) {
                            for (int m = 0; m < VW; m++) dst[i * width + m] = m < left ? s[(long)m * pix] : (CT)0;
                            s++;
                            if (++qq == pix) {
                                qq = 0;
                                s += yn - pix;
                            }
                        }
                    }
                }
            }
            for (int r = 0; r < rows; r += MR)
                eng_tile(nv, rows_buf + (long)r * kp, kp, rows - r, panel, pn, cbuf + (long)r * ldc + v * VW, ldc,
                         p0 == begin, (VT)(0));
        }
    }
    const long krow = c * taps;
    for (int m = 0; m < mn; m += VW)
        for (int r = 0; r < rows; r += VW) {
            if (m + VW <= mn && r + VW <= rows)
                eng_put_dw(cbuf + (long)r * ldc + m, ldc, out + m * krow + r, krow, (VT)(0));
            else
                for (int i = m; i < mn && i < m + VW; i++)
                    for (int j = r; j < rows && j < r + VW; j++) out[i * krow + j] = cbuf[(long)j * ldc + i];
        }
}

// out[i] = sum over the splits of part[split][i].
KATTR __kernel void eng_conv_sum(__global const CT *part, long part_off, __global ST *out, long out_off, long n,
                                 long splits, long chunk) {
    const long i0 = get_group_id(0) * chunk, i1 = i0 + chunk < n ? i0 + chunk : n;
    part += part_off;
    out += out_off;
    for (long i = i0; i < i1; i++) {
        CT s = part[i];
        for (long j = 1; j < splits; j++) s += part[j * n + i];
        STORE(out, i, s);
    }
}
#endif
