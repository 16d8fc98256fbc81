// Gradient of the weight by Winograd's algorithm, F(4x4, 3x3) transposed: with d a 6x6 patch of the input and g the 4x4
// tile of the output's gradient over it,
//     dw = G^T [ sum over tiles of (A g A^T) o (B^T d B) ] G,
// 36 products of size [oc][tiles] x [tiles][ic]. Points as in conv_winograd.cl; CPU devices, float32.
//
//   eng_wino_patches  v[tile block][36][channel block][tile][bw]   B^T d B, or with TILES m[..][MR] = A g A^T
//   eng_wino_dw       u[36][oc][ic] (+)= products over the tile blocks
//   eng_wino_finish   dw from u
//
// Here a vector holds VW channels: strips of rows are transposed on the way in. Tiles are flattened over (image, tile
// row, tile column), `tb` to a block. Options: VW lanes, MR and NV of the register tile, TILES.

#ifndef KATTR
#define KATTR
#endif
#define GLUE2(a, b) a##b
#define GLUE(a, b) GLUE2(a, b)
typedef GLUE(float, VW) VT;
typedef GLUE(float, MR) RT;
typedef VT VU __attribute__((aligned(4)));
#define WIDTH (NV * VW)
#define SPAN 16
#define COLS (4 * SPAN + 2)
#include "transpose.h"
#include "winograd.h"

// Columns of VW channels: dst[i] = pixel i of all channels, i < VW.
void eng_turn(__global const float *src, const long *at, __local VT *dst, VT zero) {
    EACH_ROW(DECLARE)
#define LOAD_ROW(i) r##i = *(__global const VU *)(src + at[i]);
#define STORE_ROW(i) dst[i] = r##i;
    EACH_ROW(LOAD_ROW)
    ROUNDS
    EACH_ROW(STORE_ROW)
}

// ---------------------------------------------------------------- patches

// o = A g for four vectors.
#define A_ROWS(o, g)                                                                 \
    {                                                                                \
        const VT pa = g##0 + 0.5f * g##2, pb = HALF_ROOT * g##1 + 0.5f * HALF_ROOT * g##3; \
        const VT pc = g##0 + 2.0f * g##2, pd = ROOT * g##1 + 2.0f * ROOT * g##3;     \
        o##0 = g##0;                                                                 \
        o##1 = pa + pb;                                                              \
        o##2 = pa - pb;                                                              \
        o##3 = pc + pd;                                                              \
        o##4 = pc - pd;                                                              \
        o##5 = g##3;                                                                 \
    }

#ifdef TILES
#define SIDE 4
#define TRANSFORM(o, d) A_ROWS(o, d)
#define TAKE(get) const VT d0 = get(0), d1 = get(1), d2 = get(2), d3 = get(3);
#else
#define SIDE 6
#define TRANSFORM(o, d) B_ROWS(o, d)
#define TAKE(get) const VT d0 = get(0), d1 = get(1), d2 = get(2), d3 = get(3), d4 = get(4), d5 = get(5);
#endif

// One transformed tile to v, its points `plane` elements apart: rows[6][COLS] are the columns transformed along y.
void eng_wino_across(__local const VT *rows, __global float *v, long plane, long half_step, VT zero) {
    for (int r = 0; r < 6; r++) {
        __local const VT *p = rows + r * COLS;
#define ACROSS(i) p[i]
        TAKE(ACROSS)
        VT o0, o1, o2, o3, o4, o5;
        TRANSFORM(o, d)
        __global float *q = v + r * 6 * plane;
#if defined(TILES) && VW == 2 * MR
#define PUT_POINT(i)                               \
    *(__global RT *)(q + i * plane) = o##i.lo;     \
    *(__global RT *)(q + i * plane + half_step) = o##i.hi;
#else
#define PUT_POINT(i) *(__global VU *)(q + i * plane) = o##i;
#endif
        PUT_POINT(0) PUT_POINT(1) PUT_POINT(2) PUT_POINT(3) PUT_POINT(4) PUT_POINT(5)
    }
}

// Group (tile block, vector of channels). x: [batch][channels][h][w]; patches start at 4*tile - (ph, pw). bw: channels of
// a block of v (TILES: MR), nb: blocks. Tiles first..last of all, th x tw an image.
KATTR __kernel void eng_wino_patches(__global const float *x, long x_off, __global float *v, long v_off, long batch,
                                     long channels, long h, long w, long th, long tw, long ph, long pw, long first,
                                     long last, long tb, long bw, long nb) {
    __local VT rows[6 * COLS + VW];
    const int c0 = (int)get_group_id(1) * VW, t0 = (int)(first + get_group_id(0) * tb);
    const int t1 = t0 + (int)tb < (int)last ? t0 + (int)tb : (int)last;
    const long plane = nb * bw * tb;
    long at[VW];
    for (int i = 0; i < VW; i++) {
        const int c = c0 + i < (int)channels ? c0 + i : (int)channels - 1;
        at[i] = c * h * w;
    }
    const long total = batch * channels * h * w, top = at[VW - 1];
    x += x_off;
    // Channel block and lane of c0.
    v += v_off + get_group_id(0) * 36 * plane + c0 / bw * bw * tb + c0 % bw;
    int tiles;
    for (int t = t0; t < t1; t += tiles) {
        const int tx = t % (int)tw, ty = t / (int)tw % (int)th;
        const long n = t / (int)(tw * th), image = n * channels * h * w;
        tiles = (int)tw - tx < t1 - t ? (int)tw - tx : t1 - t;
        tiles = tiles < SPAN ? tiles : SPAN;
        const int y0 = 4 * ty - (int)ph, x0 = 4 * tx - (int)pw, need = 4 * tiles + SIDE - 4;
        const int lo = x0 < 0 ? -x0 : 0, hi = (int)w - x0 < need ? (int)w - x0 : need;
        for (int r = 0; r < SIDE; r++) {
            __local VT *d = rows + r * COLS;
            const int y = y0 + r;
            if ((uint)y >= (uint)h || hi <= lo) {
                for (int j = 0; j < need; j++) d[j] = (VT)(0);
                continue;
            }
            const long row = image + y * w + x0;
            for (int j = 0; j < lo; j++) d[j] = (VT)(0);
            for (int j = lo; j < hi; j += VW) {
                if (row + j + top + VW <= total)
                    eng_turn(x + row + j, at, d + j, (VT)(0));
                else
                    for (int i = 0; i < VW && j + i < hi; i++)
                        for (int k = 0; k < VW; k++) ((__local float *)(d + j + i))[k] = x[row + j + i + at[k]];
            }
            for (int j = hi; j < need; j++) d[j] = (VT)(0);
        }
        for (int j = 0; j < need; j++) {
            __local VT *p = rows + j;
#define DOWN(i) p[i * COLS]
            TAKE(DOWN)
            VT o0, o1, o2, o3, o4, o5;
            TRANSFORM(o, d)
            p[0] = o0, p[COLS] = o1, p[2 * COLS] = o2, p[3 * COLS] = o3, p[4 * COLS] = o4, p[5 * COLS] = o5;
        }
        for (int i = 0; i < tiles; i++)
            eng_wino_across(rows + 4 * i, v + (t - t0 + i) * bw, plane, bw * tb, (VT)(0));
    }
}

// ---------------------------------------------------------------- products

// c[MR][n*VW] += a[depth][MR]^T b[depth][n*VW], rows of b `step` elements apart.
#define TILE(NAME, C)                                                                                      \
    void NAME(__global const float *a, __global const float *b, int step, int depth, __local float *c, VT zero) { \
        ROWS(INIT, C)                                                                                      \
        _Pragma("unroll 4") for (int k = 0; k < depth; k++) {                                              \
            C(LOADB, 0)                                                                                    \
            ROWS(FMA, C)                                                                                   \
            a += MR;                                                                                       \
            b += step;                                                                                     \
        }                                                                                                  \
        ROWS(ADD, C)                                                                                       \
    }
TILE(eng_wino_tile1, COLS1)
TILE(eng_wino_tile2, COLS2)
TILE(eng_wino_tile3, COLS3)

// Group (point, share of the oc tiles). u: [36][oc tiles * MR][nb * bw], started if `fresh`.
KATTR __kernel void eng_wino_dw(__global const float *m, long m_off, __global const float *v, long v_off,
                                __global float *u, long u_off, long ic, long ot, long tiles, long tb, long bw, long nb,
                                long share, long fresh) {
    __local float c[MR * WIDTH] __attribute__((aligned(64)));
    const int p = (int)get_group_id(0);
    const int o0 = (int)(get_group_id(1) * share), o1 = o0 + (int)share < (int)ot ? o0 + (int)share : (int)ot;
    const long mplane = ot * MR * tb, vplane = nb * bw * tb, ld = nb * bw;
    m += m_off + p * mplane;
    v += v_off + p * vplane;
    u += u_off + p * (ot * MR * ld + 16);
    for (int j = 0; j < (int)nb; j++) {
        const int left = (int)(ic - j * bw), nv = ((left < (int)bw ? left : (int)bw) + VW - 1) / VW;
        for (int o = o0; o < o1; o++) {
            for (int i = 0; i < MR * WIDTH; i += VW) *(__local VT *)(c + i) = (VT)(0);
            __global const float *a = m + o * MR * tb, *b = v + j * bw * tb;
            for (int t = 0; t < (int)tiles; t += (int)tb) {
                const int kn = (int)tiles - t < (int)tb ? (int)tiles - t : (int)tb;
                if (nv == 3)
                    eng_wino_tile3(a, b, (int)bw, kn, c, (VT)(0));
                else if (nv == 2)
                    eng_wino_tile2(a, b, (int)bw, kn, c, (VT)(0));
                else
                    eng_wino_tile1(a, b, (int)bw, kn, c, (VT)(0));
                a += 36 * mplane;
                b += 36 * vplane;
            }
            for (int r = 0; r < MR; r++)
                for (int i = 0; i < nv * VW; i += VW) {
                    __global VU *d = (__global VU *)(u + (o * MR + r) * ld + j * bw + i);
                    const VT s = *(__local const VT *)(c + r * WIDTH + i);
                    *d = fresh ? s : *d + s;
                }
        }
    }
}

// o = G^T u for six vectors.
#define G_ROWS(o, u)                                                                              \
    {                                                                                             \
        const VT sa = u##1 + u##2, sb = u##1 - u##2, sc = u##3 + u##4, sd = u##3 - u##4;          \
        o##0 = u##0 - (2.0f / 3.0f) * sa + (1.0f / 6.0f) * sc;                                    \
        o##1 = (-2.0f / 3.0f * HALF_ROOT) * sb + (1.0f / 6.0f * ROOT) * sd;                       \
        o##2 = (-1.0f / 3.0f) * sa + (1.0f / 3.0f) * sc + u##5;                                   \
    }

// Group: `chunk` output channels. out: [oc][ic][3][3]; ld: row length of u, rows: its number of rows.
KATTR __kernel void eng_wino_finish(__global const float *u, long u_off, __global float *out, long out_off, long oc,
                                    long ic, long rows, long ld, long chunk) {
    __local VT mid[3 * 6], done[9];
    const long o0 = get_group_id(0) * chunk, o1 = o0 + chunk < oc ? o0 + chunk : oc, plane = rows * ld + 16;
    for (long o = o0; o < o1; o++)
        for (int c = 0; c < (int)ic; c += VW) {
            __global const float *s = u + u_off + o * ld + c;
            for (int j = 0; j < 6; j++) {
#define POINT(i) *(__global const VU *)(s + (i * 6 + j) * plane)
                const VT u0 = POINT(0), u1 = POINT(1), u2 = POINT(2), u3 = POINT(3), u4 = POINT(4), u5 = POINT(5);
                VT r0, r1, r2;
                G_ROWS(r, u)
                mid[j] = r0, mid[6 + j] = r1, mid[12 + j] = r2;
            }
            for (int i = 0; i < 3; i++) {
                __local const VT *q = mid + 6 * i;
                const VT u0 = q[0], u1 = q[1], u2 = q[2], u3 = q[3], u4 = q[4], u5 = q[5];
                VT r0, r1, r2;
                G_ROWS(r, u)
                done[3 * i] = r0, done[3 * i + 1] = r1, done[3 * i + 2] = r2;
            }
            __global float *d = out + out_off + (o * ic + c) * 9;
            __local const float *e = (__local const float *)done;
            for (int k = 0; k < VW && c + k < (int)ic; k++)
                for (int i = 0; i < 9; i++) d[k * 9 + i] = e[i * VW + k];
        }
}
