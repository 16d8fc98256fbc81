// Depthwise convolution on CPU devices: one plane at a time, cut into tiles of rows x cols outputs.
//
// The input of a tile is staged in local memory, padded with zeros and sorted by stride phase, so that output i of the
// flattened tile (row pitch q) needs element i + offset[tap] for every tap: long unit-stride loops, no conditions. The
// columns between rows are computed too and dropped.
//
// Options: VW lanes; STAGE, ACC, MAXTAPS sizes of the local buffers in elements; CT (float or double), ST (stored),
// T_F16 / T_BF16; OP_FORWARD, OP_INPUT or OP_WEIGHT.

#ifndef EPILOGUE
#define EPILOGUE_PARAMS
#define EPILOGUE(c, n, oc, pix0, npix)
#endif
#include "stored.h"
#include "row_copy.h"

int eng_floor_div(int a, int b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

// dst[phase row][phase col][nr][q] = plane element (y0 + r*sh + phase row, x0 + j*sw + phase col), 0 outside. Returns
// the number of elements. `keep`: the zeros are there from the plane before.
int eng_stage(__global const ST *plane, int ih, int iw, int y0, int x0, int sh, int sw, int nr, int q, int keep,
              __local CT *dst, VT zero) {
    const int size = sh * sw * nr * q;
    if (!keep)
        for (int i = 0; i < size; i += VW) STOREL(dst + i, zero);
    for (int py = 0; py < sh; py++)
        for (int px = 0; px < sw; px++, dst += nr * q) {
            // Rows r0..r1 and columns lo..hi of this phase lie inside the plane.
            const int top = y0 + py, first = x0 + px;
            const int r0 = top >= 0 ? 0 : (-top + sh - 1) / sh, r1 = ih > top ? (ih - top + sh - 1) / sh : 0;
            const int lo = first >= 0 ? 0 : (-first + sw - 1) / sw, hi = iw > first ? (iw - first + sw - 1) / sw : 0;
            const int n = (hi < q ? hi : q) - lo;
            for (int r = r0; n > 0 && r < r1 && r < nr; r++) {
                __global const ST *src = plane + (long)(top + r * sh) * iw + first + lo * sw;
                __local CT *d = dst + r * q + lo;
                if (sw == 1)
                    eng_get_row(d, src, n, zero);
                else if (sw == 2)
                    for (int j = 0; j < n; j++) d[j] = FETCH(src, 2 * j);
                else
                    for (int j = 0; j < n; j++) d[j] = FETCH(src, j * sw);
            }
        }
    return size;
}

#define EACH(M) M(0) M(1) M(2) M(3) M(4) M(5)
#define START(j) VT a##j = fresh ? zero : LOADL(acc + i + j * VW);
#define TERM(j) a##j = w * LOADL(p + j * VW) + a##j;
#define FINISH(j) STOREL(acc + i + j * VW, a##j);

// acc[i] (+)= sum over taps of weight[t] * stage[i + offset[t]], i < len (in whole vectors).
void eng_taps(__local const CT *stage, __local const int *offset, __local const CT *weight, int taps,
              __local CT *acc, int len, int fresh, VT zero) {
    int i = 0;
    for (; i + 5 * VW < len; i += 6 * VW) {
        EACH(START)
        for (int t = 0; t < taps; t++) {
            const VT w = (VT)(weight[t]);
            __local const CT *p = stage + offset[t] + i;
            EACH(TERM)
        }
        EACH(FINISH)
    }
    for (; i + VW < len; i += 2 * VW) {
        START(0) START(1)
        for (int t = 0; t < taps; t++) {
            const VT w = (VT)(weight[t]);
            __local const CT *p = stage + offset[t] + i;
            TERM(0) TERM(1)
        }
        FINISH(0) FINISH(1)
    }
    if (i < len) {
        START(0)
        for (int t = 0; t < taps; t++) {
            const VT w = (VT)(weight[t]);
            __local const CT *p = stage + offset[t] + i;
            TERM(0)
        }
        FINISH(0)
    }
}

#define SIZES                                                                                               \
    long batch, long channels, long mult, long ih_, long iw_, long oh_, long ow_, long kh_, long kw_, long sh_, \
        long sw_, long ph_, long pw_, long dh_, long dw_, long rows, long cols, long chunk
#define SET_SIZES                                                                                           \
    const int ih = (int)ih_, iw = (int)iw_, oh = (int)oh_, ow = (int)ow_, kh = (int)kh_, kw = (int)kw_;      \
    const int sh = (int)sh_, sw = (int)sw_, ph = (int)ph_, pw = (int)pw_, dh = (int)dh_, dw = (int)dw_;      \
    const int taps = kh * kw;                                                                               \
    const long outs = channels * mult;

// Offset of a tap in the staged input of the forward pass.
int eng_tap_offset(int y, int x, int sh, int sw, int nr, int q) {
    return ((y % sh * sw + x % sw) * nr + y / sh) * q + x / sw;
}

#ifdef OP_FORWARD
// Group: `chunk` planes (image, output channel).
KATTR __kernel void eng_dw_fwd(__global const ST *x, long x_off, __global const ST *w, long w_off, __global ST *out,
                               long out_off, SIZES EPILOGUE_PARAMS) {
    __local CT stage[STAGE] __attribute__((aligned(64)));
    __local CT acc[ACC] __attribute__((aligned(64)));
    __local CT weight[MAXTAPS];
    __local int offset[MAXTAPS];
    SET_SIZES
    int last_nr = -1, last_q = -1;
    const long p0 = get_group_id(0) * chunk, p1 = p0 + chunk < batch * outs ? p0 + chunk : batch * outs;
    for (long p = p0; p < p1; p++) {
        const long n = p / outs, oc = p - n * outs;
        __global const ST *plane = x + x_off + (n * channels + oc / mult) * ih * iw;
        for (int t = 0; t < taps; t++) weight[t] = FETCH(w + w_off, oc * taps + t);
        for (int oy = 0; oy < oh; oy += (int)rows)
            for (int ox = 0; ox < ow; ox += (int)cols) {
                const int r = oh - oy < (int)rows ? oh - oy : (int)rows, c = ow - ox < (int)cols ? ow - ox : (int)cols;
                const int nr = r + (kh - 1) * dh / sh, q = c + (kw - 1) * dw / sw;
                if (nr != last_nr || q != last_q)
                    for (int t = 0; t < taps; t++)
                        offset[t] = eng_tap_offset(t / kw * dh, t % kw * dw, sh, sw, nr, q);
                last_nr = nr, last_q = q;
                eng_stage(plane, ih, iw, oy * sh - ph, ox * sw - pw, sh, sw, nr, q, p > p0 && rows >= oh && cols >= ow, stage, (VT)(0));
                eng_taps(stage, offset, weight, taps, acc, (r - 1) * q + c, 1, (VT)(0));
                for (int i = 0; i < r; i++) {
                    const int pix = (oy + i) * ow + ox;
                    __global ST *o = out + out_off + p * oh * ow + pix;
                    __local const CT *a = acc + i * q;
                    eng_put_row(o, a, c, (VT)(0));
                    EPILOGUE(o, n, oc, pix, c);
                }
            }
    }
}
#endif

#ifdef OP_INPUT
// Group: `chunk` planes (image, input channel). Input positions r + s*t of a stride phase r need dy at
// t + (r + pad - k*dilation) / s for the taps k that divide; rows and cols count t.
KATTR __kernel void eng_dw_dx(__global const ST *dy, long dy_off, __global const ST *w, long w_off, __global ST *out,
                              long out_off, SIZES) {
    __local CT stage[STAGE] __attribute__((aligned(64)));
    __local CT acc[ACC] __attribute__((aligned(64)));
    __local CT weight[MAXTAPS];
    __local int offset[MAXTAPS];
    SET_SIZES
    const int ylo = eng_floor_div(ph - (kh - 1) * dh, sh), xlo = eng_floor_div(pw - (kw - 1) * dw, sw);
    const int yext = (sh - 1 + ph) / sh - ylo, xext = (sw - 1 + pw) / sw - xlo;
    const int th = (ih + sh - 1) / sh, tw = (iw + sw - 1) / sw;
    const long p0 = get_group_id(0) * chunk, all = batch * channels, p1 = p0 + chunk < all ? p0 + chunk : all;
    for (long p = p0; p < p1; p++) {
        const long n = p / channels, ch = p - n * channels;
        for (int ty = 0; ty < th; ty += (int)rows)
            for (int tx = 0; tx < tw; tx += (int)cols) {
                const int r = th - ty < (int)rows ? th - ty : (int)rows, c = tw - tx < (int)cols ? tw - tx : (int)cols;
                const int nr = r + yext, q = c + xext, len = (r - 1) * q + c;
                for (int phase = 0; phase < sh * sw; phase++) {
                    const int ry = phase / sw, rx = phase % sw;
                    for (int j = 0; j < (int)mult; j++) {
                        const long oc = ch * mult + j;
                        if (phase == 0 || mult > 1)
                            eng_stage(dy + dy_off + (n * outs + oc) * oh * ow, oh, ow, ty + ylo, tx + xlo, 1, 1, nr, q,
                                      p > p0 && rows >= th && cols >= tw, stage, (VT)(0));
                        int m = 0;
                        for (int ky = 0; ky < kh; ky++)
                            for (int kx = 0; kx < kw; kx++) {
                                const int y = ry + ph - ky * dh, xx = rx + pw - kx * dw;
                                const int oy = eng_floor_div(y, sh), ox = eng_floor_div(xx, sw);
                                if (oy * sh != y || ox * sw != xx) continue;
                                offset[m] = (oy - ylo) * q + ox - xlo;
                                weight[m++] = FETCH(w + w_off, oc * taps + ky * kw + kx);
                            }
                        eng_taps(stage, offset, weight, m, acc, len, j == 0, (VT)(0));
                    }
                    for (int i = 0; i < r; i++) {
                        const int y = (ty + i) * sh + ry, x0 = tx * sw + rx;
                        if (y >= ih) break;
                        __global ST *o = out + out_off + (p * ih + y) * iw + x0;
                        __local const CT *a = acc + i * q;
                        const int m = x0 < iw ? (iw - x0 + sw - 1) / sw : 0, e = m < c ? m : c;
                        if (sw == 1)
                            eng_put_row(o, a, e, (VT)(0));
                        else
                            for (int j = 0; j < e; j++) STORE(o, j * sw, a[j]);
                    }
                }
            }
    }
}
#endif

#ifdef OP_WEIGHT
// sums[t] += sum over i < len of g[i] * stage[i + offset[t]], lane by lane.
void eng_tap_sums(__local const CT *stage, __local const int *offset, int taps, __local const CT *g, int len,
                  __local CT *sums, VT zero) {
    int t = 0;
    for (; t + 4 <= taps; t += 4) {
        VT a0 = zero, a1 = zero, a2 = zero, a3 = zero;
        __local const CT *p0 = stage + offset[t], *p1 = stage + offset[t + 1];
        __local const CT *p2 = stage + offset[t + 2], *p3 = stage + offset[t + 3];
        for (int i = 0; i < len; i += VW) {
            const VT v = LOADL(g + i);
            a0 = v * LOADL(p0 + i) + a0;
            a1 = v * LOADL(p1 + i) + a1;
            a2 = v * LOADL(p2 + i) + a2;
            a3 = v * LOADL(p3 + i) + a3;
        }
        STOREL(sums + t * VW, LOADL(sums + t * VW) + a0);
        STOREL(sums + (t + 1) * VW, LOADL(sums + (t + 1) * VW) + a1);
        STOREL(sums + (t + 2) * VW, LOADL(sums + (t + 2) * VW) + a2);
        STOREL(sums + (t + 3) * VW, LOADL(sums + (t + 3) * VW) + a3);
    }
    for (; t < taps; t++) {
        VT a = zero;
        for (int i = 0; i < len; i += VW) a = LOADL(g + i) * LOADL(stage + offset[t] + i) + a;
        STOREL(sums + t * VW, LOADL(sums + t * VW) + a);
    }
}

// Group: `chunk` output channels.
KATTR __kernel void eng_dw_dw(__global const ST *x, long x_off, __global const ST *dy, long dy_off, __global ST *out,
                              long out_off, SIZES) {
    __local CT stage[STAGE] __attribute__((aligned(64)));
    __local CT grad[ACC] __attribute__((aligned(64)));
    __local CT sums[MAXTAPS * VW] __attribute__((aligned(64)));
    __local int offset[MAXTAPS];
    SET_SIZES
    int last_nr = -1, last_q = -1;
    const long c0 = get_group_id(0) * chunk, c1 = c0 + chunk < outs ? c0 + chunk : outs;
    for (long oc = c0; oc < c1; oc++) {
        for (int i = 0; i < taps * VW; i++) sums[i] = (CT)0;
        for (long n = 0; n < batch; n++) {
            __global const ST *plane = x + x_off + (n * channels + oc / mult) * ih * iw;
                __global const ST *g = dy + dy_off + (n * outs + oc) * oh * ow;
            for (int oy = 0; oy < oh; oy += (int)rows)
                for (int ox = 0; ox < ow; ox += (int)cols) {
                    const int r = oh - oy < (int)rows ? oh - oy : (int)rows;
                    const int c = ow - ox < (int)cols ? ow - ox : (int)cols;
                    const int nr = r + (kh - 1) * dh / sh, q = c + (kw - 1) * dw / sw;
                    if (nr != last_nr || q != last_q)
                        for (int t = 0; t < taps; t++)
                            offset[t] = eng_tap_offset(t / kw * dh, t % kw * dw, sh, sw, nr, q);
                    last_nr = nr, last_q = q;
                    const int size = eng_stage(plane, ih, iw, oy * sh - ph, ox * sw - pw, sh, sw, nr, q, (oc > c0 || n > 0) && rows >= oh && cols >= ow, stage, (VT)(0));
                    for (int i = 0; i < VW; i++) stage[size + i] = (CT)0;
                    const int len = (r - 1) * q + c;
                    for (int i = 0; i < r; i++) {
                        __global const ST *row = g + (oy + i) * ow + ox;
                        for (int j = 0; j < c; j++) grad[i * q + j] = FETCH(row, j);
                        for (int j = c; j < q; j++) grad[i * q + j] = (CT)0;
                    }
                    for (int i = len; i < len + VW; i++) grad[i] = (CT)0;
                    eng_tap_sums(stage, offset, taps, grad, len, sums, (VT)(0));
                }
        }
        for (int t = 0; t < taps; t++) {
            CT s = (CT)0;
            for (int i = 0; i < VW; i++) s += sums[t * VW + i];
            STORE(out + out_off, oc * taps + t, s);
        }
    }
}
#endif
