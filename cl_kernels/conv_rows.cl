// Stride-1 convolution of few channels a group (depthwise, small groups, first layers) on CPU devices, and its gradient
// of the input, which is the same map with the weights turned around.
//
// A tile of rows x cols outputs of one (image, group): its input planes are staged in local memory, padded with zeros;
// then, an output channel at a time, sums of BLOCK rows are kept in registers, and each staged vector is loaded once a
// kernel column and meets KH of them.
//
// Options: VW lanes; STAGE, ACC sizes of the local buffers in elements; KH height of the kernel, BLOCK; CT
// (float or double), ST (stored), T_F16 / T_BF16; FLIP (gradient: weights [group][c][oc][taps], turned around).

#ifndef EPILOGUE
#define EPILOGUE_PARAMS
#define EPILOGUE(c, n, oc, pix0, npix)
#endif
#include "stored.h"
#include "row_copy.h"


// dst[nr][q] = plane element (y0 + r, x0 + j), 0 outside. `keep`: the zeros are there from the plane before.
void eng_stage(__global const ST *plane, int ih, int iw, int y0, int x0, int nr, int q, int keep, __local CT *dst,
               VT zero) {
    if (!keep)
        for (int i = 0; i < nr * q; i += VW) STOREL(dst + i, zero);
    const int lo = x0 < 0 ? -x0 : 0, r0 = y0 < 0 ? -y0 : 0, r1 = ih - y0 < nr ? ih - y0 : nr;
    const int n = (iw - x0 < q ? iw - x0 : q) - lo;
    for (int r = r0; n > 0 && r < r1; r++)
        eng_get_row(dst + r * q + lo, plane + (long)(y0 + r) * iw + x0 + lo, n, zero);
}

#ifdef FLIP
#define TURN (-1)
#else
#define TURN 1
#endif

// acc[i][x] = sum over (channel, ky, kx) of weight[channel][ky][kx] * stage[channel][i + ky][x + kx * dw], for BLOCK
// rows i and cols columns x. wc: weights from channel to channel; FLIP: taps run backwards from `weight`.
void eng_block(__local const CT *stage, int plane, int q, __global const ST *weight, long wc, int channels, int kw,
               int dw, int cols, __local CT *acc, int pitch, VT zero) {
    for (int x = 0; x < cols; x += VW) {
        VT a[BLOCK];
        _Pragma("unroll") for (int i = 0; i < BLOCK; i++) a[i] = zero;
        for (int c = 0; c < channels; c++)
            for (int kx = 0; kx < kw; kx++) {
                __global const ST *s = weight + c * wc + TURN * kx;
                __local const CT *p = stage + c * plane + x + kx * dw;
                VT w[KH];
                _Pragma("unroll") for (int k = 0; k < KH; k++) w[k] = (VT)(FETCH(s + TURN * k * kw, 0));
                _Pragma("unroll") for (int j = 0; j < BLOCK + KH - 1; j++) {
                    const VT v = LOADL(p + j * q);
                    _Pragma("unroll") for (int k = 0; k < KH; k++)
                        if (j >= k && j - k < BLOCK) a[j - k] = w[k] * v + a[j - k];
                }
            }
        _Pragma("unroll") for (int i = 0; i < BLOCK; i++) STOREL(acc + i * pitch + x, a[i]);
    }
}

// Group (`chunk` tiles of all images and groups, `share` output channels of a group). c, oc: channels a group.
KATTR __kernel void eng_conv_rows(__global const ST *x, long x_off, __global const ST *w, long w_off, __global ST *out,
                                  long out_off, long batch, long groups, long c, long oc, long ih_, long iw_, long oh_,
                                  long ow_, long kw_, long ph_, long pw_, long dw_, long rows, long cols, long chunk,
                                  long share EPILOGUE_PARAMS) {
    __local CT stage[STAGE] __attribute__((aligned(64)));
    __local CT acc[ACC] __attribute__((aligned(64)));
    const int ih = (int)ih_, iw = (int)iw_, oh = (int)oh_, ow = (int)ow_, kw = (int)kw_, ph = (int)ph_, pw = (int)pw_;
    const int dw = (int)dw_, taps = KH * kw;
    const int ty = (oh + (int)rows - 1) / (int)rows, tx = (ow + (int)cols - 1) / (int)cols;
    const long t0 = get_group_id(0) * chunk, all = batch * groups * ty * tx, t1 = t0 + chunk < all ? t0 + chunk : all;
    const int o0 = (int)(get_group_id(1) * share), o1 = o0 + (int)share < (int)oc ? o0 + (int)share : (int)oc;
    const int pitch = ((int)cols + VW - 1) / VW * VW;
    for (long t = t0; t < t1; t++) {
        const long unit = t / (ty * tx), n = unit / groups, g = unit - n * groups;
        const int tile = (int)(t - unit * (ty * tx)), oy = tile / tx * (int)rows, ox = tile % tx * (int)cols;
        const int r = oh - oy < (int)rows ? oh - oy : (int)rows, m = ow - ox < (int)cols ? ow - ox : (int)cols;
        const int nr = r + KH - 1, q = m + (kw - 1) * dw, plane = nr * q;
        for (int i = 0; i < (int)c; i++)
            eng_stage(x + x_off + (unit * c + i) * ih * iw, ih, iw, oy - ph, ox - pw, nr, q, t > t0 && ty * tx == 1,
                      stage + i * plane, (VT)(0));
        for (int o = o0; o < o1; o++) {
#ifdef FLIP
            __global const ST *s = w + w_off + (g * c * oc + o) * taps + taps - 1;
            const long wc = oc * taps;
#else
            __global const ST *s = w + w_off + (g * oc + o) * c * taps;
            const long wc = taps;
#endif
            const long ch = g * oc + o;
            for (int i = 0; i < r; i++) {
                if (i % BLOCK == 0)
                    eng_block(stage + i * q, plane, q, s, wc, (int)c, kw, dw, m, acc, pitch, (VT)(0));
                const int pix = (oy + i) * ow + ox;
                __global ST *d = out + out_off + (n * groups * oc + ch) * oh * ow + pix;
                eng_put_row(d, acc + i % BLOCK * pitch, m, (VT)(0));
                EPILOGUE(d, n, ch, pix, m);
            }
        }
    }
}
