// Winograd convolution F(4x4, 3x3), stride 1, for CPU devices (Lavin and Gray, "Fast algorithms for convolutional
// neural networks", 2016): 36 products of size [rows][depth] x [depth][tiles] in place of 144 multiplications a tile.
// The interpolation points 0, +-1/sqrt(2), +-sqrt(2) and infinity keep rounding errors to a third of those with the
// usual 0, +-1, +-2 (the transforms' entries are nearer to one).
//
//   eng_wino_weights  u[36][row tile][depth][MR]
//   eng_wino_input    v[tile block][36][depth][tiles of the block]
//   eng_wino_output   products of one tile block, MR rows at a time, transformed and stored at once
//
// With dilation, every dh-th row and dw-th column of an image make an image of their own (a phase).
// Tiles of 4x4 outputs are flattened over (image, phase, tile row, tile column); a tile block holds up to NV*VW of them.
// rows/depth are output/input channels, or the reverse for grad-input (FLIP: weights transposed and turned).
// Options: VW lanes, MR (4 or 8) and NV of the register tile, FLIP.

#ifndef KATTR
#define KATTR
#endif
#ifndef EPILOGUE
#define EPILOGUE_PARAMS
#define EPILOGUE(c, n, oc, pix0, npix)
#endif
#define GLUE2(a, b) a##b
#define GLUE(a, b) GLUE2(a, b)
typedef GLUE(float, VW) VT;
typedef GLUE(float, MR) RT;
typedef VT VU __attribute__((aligned(4)));
#define WIDTH (NV * VW)
#define ROW (5 * VW)
#define DEPTH 64
#include "winograd.h"

// ---------------------------------------------------------------- weights

#define G_ROWS(o, a, b, c)                                 \
    {                                                      \
        const RT s = a * (-2.0f / 3.0f) - c * (1.0f / 3.0f); \
        const RT t = b * (-2.0f / 3.0f * HALF_ROOT);       \
        const RT p = a * (1.0f / 6.0f) + c * (1.0f / 3.0f); \
        const RT q = b * (1.0f / 6.0f * ROOT);             \
        o##0 = a;                                          \
        o##1 = s + t;                                      \
        o##2 = s - t;                                      \
        o##3 = p + q;                                      \
        o##4 = p - q;                                      \
        o##5 = c;                                          \
    }

// Group: one tile of MR rows and one of the `parts` shares of the depth. w: [oc][ic][3][3].
KATTR __kernel void eng_wino_weights(__global const float *w, long w_off, __global float *u, long u_off, long rows,
                                     long depth, long share) {
    const int m0 = (int)get_group_id(0) * MR, k0 = (int)(get_group_id(1) * share);
    const int k1 = k0 + (int)share < (int)depth ? k0 + (int)share : (int)depth;
    const long plane = (rows + MR - 1) / MR * depth * MR + 16;
    u += u_off + m0 * depth;
    w += w_off;
    for (int k = k0; k < k1; k++) {
        float tap[9][MR];
        for (int r = 0; r < MR; r++) {
            const long m = m0 + r < (int)rows ? m0 + r : rows - 1;
#ifdef FLIP
            __global const float *s = w + (k * rows + m) * 9;
            for (int t = 0; t < 9; t++) tap[t][r] = s[8 - t];
#else
            __global const float *s = w + (m * depth + k) * 9;
            for (int t = 0; t < 9; t++) tap[t][r] = s[t];
#endif
        }
        __global float *o = u + (long)k * MR;
        RT c0[3], c1[3], c2[3], c3[3], c4[3], c5[3];
        for (int j = 0; j < 3; j++) {
            const RT a = *(RT *)tap[j], b = *(RT *)tap[3 + j], c = *(RT *)tap[6 + j];
            RT v0, v1, v2, v3, v4, v5;
            G_ROWS(v, a, b, c)
            c0[j] = v0, c1[j] = v1, c2[j] = v2, c3[j] = v3, c4[j] = v4, c5[j] = v5;
        }
#define PUT_ROW(i)                                                       \
    {                                                                    \
        RT v0, v1, v2, v3, v4, v5;                                       \
        G_ROWS(v, c##i[0], c##i[1], c##i[2])                             \
        *(__global RT *)(o + (i * 6 + 0) * plane) = v0;                  \
        *(__global RT *)(o + (i * 6 + 1) * plane) = v1;                  \
        *(__global RT *)(o + (i * 6 + 2) * plane) = v2;                  \
        *(__global RT *)(o + (i * 6 + 3) * plane) = v3;                  \
        *(__global RT *)(o + (i * 6 + 4) * plane) = v4;                  \
        *(__global RT *)(o + (i * 6 + 5) * plane) = v5;                  \
    }
        PUT_ROW(0)
        PUT_ROW(1)
        PUT_ROW(2)
        PUT_ROW(3)
        PUT_ROW(4)
        PUT_ROW(5)
    }
}

// ---------------------------------------------------------------- input


// Every fourth element from p on.
VT eng_fourth(__local const float *p) {
    const VT a = *(__local const VU *)p, b = *(__local const VU *)(p + VW);
    const VT c = *(__local const VU *)(p + 2 * VW), d = *(__local const VU *)(p + 3 * VW);
    VT e, f, r;
    e.lo = a.even, e.hi = b.even;
    f.lo = c.even, f.hi = d.even;
    r.lo = e.even, r.hi = f.even;
    return r;
}

// VW tiles of one tile row, its first input element at (y0, x0) of the plane, dilation dh x dw: transformed into
// out[36][stride].
void eng_wino_strip(__global const float *plane, int ih, int iw, int y0, int x0, int dh, int dw, int tiles,
                    __local float *rows, __local float *out, int stride, VT zero) {
    const int need = 4 * tiles + 2;
    const int before = x0 < 0 ? (-x0 + dw - 1) / dw : 0, lo = before < need ? before : need;
    const int inside = iw > x0 ? (iw - x0 + dw - 1) / dw : 0;
    int hi = inside < need ? inside : need;
    hi = hi > lo ? hi : lo;
    for (int r = 0; r < 6; r++) {
        const int y = y0 + r * dh;
        __local float *d = rows + r * ROW;
        if ((uint)y >= (uint)ih) {
            for (int i = 0; i < need; i++) d[i] = 0.0f;
            continue;
        }
        __global const float *s = plane + (long)y * iw + x0;
        for (int i = 0; i < lo; i++) d[i] = 0.0f;
        if (dw == 1)
            for (int i = lo; i < hi; i++) d[i] = s[i];
        else
            for (int i = lo; i < hi; i++) d[i] = s[i * dw];
        for (int i = hi; i < need; i++) d[i] = 0.0f;
    }
    for (int i = 0; i < need; i += VW) {
        __local VT *p = (__local VT *)(rows + i);
        const VT d0 = p[0], d1 = p[5], d2 = p[10], d3 = p[15], d4 = p[20], d5 = p[25];
        VT o0, o1, o2, o3, o4, o5;
        B_ROWS(o, d)
        p[0] = o0, p[5] = o1, p[10] = o2, p[15] = o3, p[20] = o4, p[25] = o5;
    }
    for (int r = 0; r < 6; r++) {
        __local const float *p = rows + r * ROW;
        const VT d0 = eng_fourth(p), d1 = eng_fourth(p + 1), d2 = eng_fourth(p + 2);
        const VT d3 = eng_fourth(p + 3), d4 = eng_fourth(p + 4), d5 = eng_fourth(p + 5);
        VT o0, o1, o2, o3, o4, o5;
        B_ROWS(o, d)
        __local float *q = out + r * 6 * stride;
        *(__local VU *)q = o0;
        *(__local VU *)(q + stride) = o1;
        *(__local VU *)(q + 2 * stride) = o2;
        *(__local VU *)(q + 3 * stride) = o3;
        *(__local VU *)(q + 4 * stride) = o4;
        *(__local VU *)(q + 5 * stride) = o5;
    }
}

// Group (tile block of `block` tiles, share of the channels). ph, pw: padding before.
KATTR __kernel void eng_wino_input(__global const float *x, long x_off, __global float *v, long v_off, long depth,
                                   long ih, long iw, long oh, long ow, long dh, long dw, long ph, long pw, long first,
                                   long last, long block, long share) {
    __local float rows[6 * ROW + 8] __attribute__((aligned(64)));
    __local float out[36 * (WIDTH + VW)] __attribute__((aligned(64)));
    const int tw = (int)((ow + dw - 1) / dw + 3) / 4, th = (int)((oh + dh - 1) / dh + 3) / 4, phases = (int)(dh * dw);
    const int t0 = (int)(first + get_group_id(0) * block);
    const int count = (int)last - t0 < (int)block ? (int)last - t0 : (int)block;
    const int width = (count + VW - 1) / VW * VW, stride = WIDTH + VW;
    const int c0 = (int)(get_group_id(1) * share), c1 = c0 + (int)share < (int)depth ? c0 + (int)share : (int)depth;
    for (int i = 0; i < 6 * ROW + 8; i++) rows[i] = 0.0f;
    for (int i = 0; i < 36 * (WIDTH + VW); i++) out[i] = 0.0f;
    v += v_off + (t0 - first) * 36 * depth;
    for (int c = c0; c < c1; c++) {
        int tiles;
        for (int t = 0; t < count; t += tiles) {
            const int tx = (t0 + t) % tw, ty = (t0 + t) / tw % th, image = (t0 + t) / (tw * th), n = image / phases;
            const int py = image % phases / (int)dw, px = image % (int)dw;
            tiles = tw - tx < count - t ? tw - tx : count - t;
            tiles = tiles < VW ? tiles : VW;
            eng_wino_strip(x + x_off + (n * depth + c) * ih * iw, (int)ih, (int)iw, 4 * ty * (int)dh + py - (int)ph,
                           4 * tx * (int)dw + px - (int)pw, (int)dh, (int)dw, tiles, rows, out + t, stride, (VT)(0));
        }
        for (int p = 0; p < 36; p++)
            for (int i = 0; i < width; i += VW)
                *(__global VU *)(v + (p * depth + c) * width + i) = *(__local const VU *)(out + p * stride + i);
    }
}

// ---------------------------------------------------------------- products and output

#define PUT1(r, j) *(__local VT *)(c + r * WIDTH + j * VW) = c##r##_##j;
#define PUT(r, C) C(PUT1, r)

// c[MR][n*VW] (+)= a[depth][MR]^T b[depth][n*VW].
#define TILE(NAME, C, N)                                                                                   \
    void NAME(__global const float *a, __global const float *b, int depth, __local float *c, int fresh, VT zero) {     \
        ROWS(INIT, C)                                                                                       \
        _Pragma("unroll 4") for (int k = 0; k < depth; k++) {                                               \
            C(LOADB, 0)                                                                                     \
            ROWS(FMA, C)                                                                                    \
            a += MR;                                                                                        \
            b += N * VW;                                                                                    \
        }                                                                                                   \
        if (fresh) {                                                                                        \
            ROWS(PUT, C)                                                                                    \
        } else {                                                                                            \
            ROWS(ADD, C)                                                                                    \
        }                                                                                                   \
    }
TILE(eng_wino_tile1, COLS1, 1)
TILE(eng_wino_tile2, COLS2, 2)
TILE(eng_wino_tile3, COLS3, 3)

// o = A^T m for six vectors.
#define A_ROWS(o, m)                                             \
    {                                                            \
        const VT as = m##1 + m##2, at = m##1 - m##2;             \
        const VT au = m##3 + m##4, av = m##3 - m##4;             \
        o##0 = m##0 + as + au;                                   \
        o##1 = HALF_ROOT * at + ROOT * av;                       \
        o##2 = 0.5f * as + 2.0f * au;                            \
        o##3 = 0.5f * HALF_ROOT * at + 2.0f * ROOT * av + m##5;  \
    }

// The outputs of VW tiles: m[36] vectors `step` elements apart to out[4][pitch], tiles side by side.
void eng_wino_finish(__local const float *m, int step, __local float *out, int pitch, VT zero) {
    VT y0[6], y1[6], y2[6], y3[6];
#define DOWN(j)                                                                                            \
    {                                                                                                      \
        const VT m0 = *(__local const VT *)(m + j * step), m1 = *(__local const VT *)(m + (6 + j) * step);  \
        const VT m2 = *(__local const VT *)(m + (12 + j) * step);                                           \
        const VT m3 = *(__local const VT *)(m + (18 + j) * step);                                           \
        const VT m4 = *(__local const VT *)(m + (24 + j) * step);                                           \
        const VT m5 = *(__local const VT *)(m + (30 + j) * step);                                           \
        VT o0, o1, o2, o3;                                                                                 \
        A_ROWS(o, m)                                                                                        \
        y0[j] = o0, y1[j] = o1, y2[j] = o2, y3[j] = o3;                                                     \
    }
    DOWN(0)
    DOWN(1)
    DOWN(2)
    DOWN(3)
    DOWN(4)
    DOWN(5)
#define ACROSS(i)                                                                                          \
    {                                                                                                      \
        const VT m0 = y##i[0], m1 = y##i[1], m2 = y##i[2], m3 = y##i[3], m4 = y##i[4], m5 = y##i[5];         \
        VT o0, o1, o2, o3, e, f, g, h, z;                                                                   \
        A_ROWS(o, m)                                                                                        \
        e.even = o0.lo, e.odd = o2.lo, f.even = o0.hi, f.odd = o2.hi;                                        \
        g.even = o1.lo, g.odd = o3.lo, h.even = o1.hi, h.odd = o3.hi;                                        \
        __local float *q = out + i * pitch;                                                                 \
        z.even = e.lo, z.odd = g.lo;                                                                        \
        *(__local VT *)q = z;                                                                               \
        z.even = e.hi, z.odd = g.hi;                                                                        \
        *(__local VT *)(q + VW) = z;                                                                        \
        z.even = f.lo, z.odd = h.lo;                                                                        \
        *(__local VT *)(q + 2 * VW) = z;                                                                    \
        z.even = f.hi, z.odd = h.hi;                                                                        \
        *(__local VT *)(q + 3 * VW) = z;                                                                    \
    }
    ACROSS(0)
    ACROSS(1)
    ACROSS(2)
    ACROSS(3)
}

// Group (tile block, share of the row tiles). out: [batch][rows][oh][ow]. Tiles first..last of all.
KATTR __kernel void eng_wino_output(__global const float *u, long u_off, __global const float *v, long v_off,
                                    __global float *out, long out_off, long rows, long depth, long oh,
                                    long ow, long dh, long dw, long first, long last, long block, long share EPILOGUE_PARAMS) {
    __local float prod[36 * MR * WIDTH] __attribute__((aligned(64)));
    __local float strip[4 * 4 * WIDTH] __attribute__((aligned(64)));
    const int tw = (int)((ow + dw - 1) / dw + 3) / 4, th = (int)((oh + dh - 1) / dh + 3) / 4, phases = (int)(dh * dw);
    const int t0 = (int)(first + get_group_id(0) * block);
    const int count = (int)last - t0 < (int)block ? (int)last - t0 : (int)block;
    const int nv = (count + VW - 1) / VW, width = nv * VW;
    const int tiles = (int)(rows + MR - 1) / MR;
    const int r0 = (int)(get_group_id(1) * share), r1 = r0 + (int)share < tiles ? r0 + (int)share : tiles;
    const long plane = tiles * depth * MR + 16;
    u += u_off;
    v += v_off + (t0 - first) * 36 * depth;
    for (int m = r0; m < r1; m++) {
        for (int p = 0; p < 36; p++) {
            __global const float *a = u + p * plane + m * depth * MR, *b = v + p * depth * width;
            __local float *c = prod + p * MR * WIDTH;
            // Partial sums of a limited depth: their rounding errors do not grow with the number of channels.
            for (int k = 0; k < (int)depth; k += DEPTH) {
                const int kn = (int)depth - k < DEPTH ? (int)depth - k : DEPTH;
                if (nv == 3)
                    eng_wino_tile3(a, b, kn, c, k == 0, (VT)(0));
                else if (nv == 2)
                    eng_wino_tile2(a, b, kn, c, k == 0, (VT)(0));
                else
                    eng_wino_tile1(a, b, kn, c, k == 0, (VT)(0));
                a += kn * MR;
                b += kn * width;
            }
        }
        for (int r = 0; r < MR && m * MR + r < (int)rows; r++) {
            const int ch = m * MR + r;
            for (int j = 0; j < nv; j++)
                eng_wino_finish(prod + r * WIDTH + j * VW, MR * WIDTH, strip + 4 * VW * j, 4 * WIDTH, (VT)(0));
            int run;
            for (int t = 0; t < count; t += run) {
                const int tx = (t0 + t) % tw, ty = (t0 + t) / tw % th, image = (t0 + t) / (tw * th), n = image / phases;
                const int py = image % phases / (int)dw, px = image % (int)dw;
                run = tw - tx < count - t ? tw - tx : count - t;
                const int x0 = 4 * tx * (int)dw + px, left = ((int)ow - x0 + (int)dw - 1) / (int)dw;
                const int len = 4 * run < left ? 4 * run : left;
                __global float *o = out + out_off + (n * rows + ch) * oh * ow;
                for (int i = 0; i < 4; i++) {
                    const int y = (4 * ty + i) * (int)dh + py, pix = y * (int)ow + x0;
                    if (y >= (int)oh) break;
                    __local const float *s = strip + i * 4 * WIDTH + 4 * t;
                    if (dw == 1) {
                        for (int e = 0; e < len; e++) o[pix + e] = s[e];
                        EPILOGUE(o + pix, n, ch, pix, len);
                    } else {
                        for (int e = 0; e < len; e++) {
                            const int at = pix + e * (int)dw;
                            o[at] = s[e];
                            EPILOGUE(o + at, n, ch, at, 1);
                        }
                    }
                }
            }
        }
    }
}
