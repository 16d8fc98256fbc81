// Packing of im2col rows for the direct convolution: pixels (n, oz, oy, ox) are flattened, and a vector of VW of them is a
// few runs ("segments") of consecutive input elements, one per output row it touches, so it is built from unaligned
// loads and lane masks; padding is a mask too.

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
