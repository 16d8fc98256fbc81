// Gradient of the weight of a stride-1 convolution of few channels a group on CPU devices (see conv_rows.cl).
//
// Planes of x and dy are staged in local memory; for each pair of channels the sums over pixels are kept lane by lane,
// KH of a kernel column at a time in registers, BLOCK rows of dy meeting BLOCK + KH - 1 rows of x.
//
// Options: VW lanes; STAGE, GRAD, SUMS sizes of the local buffers in elements; KH height of the kernel, BLOCK; CT (float
// or double), ST (stored), T_F16 / T_BF16.

#include "stored.h"
#include "row_copy.h"


// dst[rows][q] = plane elements (y0 + r, x0 + j), 0 outside.
void eng_stage(__global const ST *plane, int ih, int iw, int y0, int x0, int rows, int q, __local CT *dst, VT zero) {
    for (int i = 0; i < rows * q; i += VW) STOREL(dst + i, zero);
    const int lo = x0 < 0 ? -x0 : 0, r0 = y0 < 0 ? -y0 : 0, r1 = ih - y0 < rows ? ih - y0 : rows;
    const int n = (iw - x0 < q ? iw - x0 : q) - lo;
    for (int r = r0; n > 0 && r < r1; r++)
        eng_get_row(dst + r * q + lo, plane + (long)(y0 + r) * iw + x0 + lo, n, zero);
}

// sums[kx][ky] += sum over rows i and columns x of g[i][x] * stage[i + ky][x + kx * dw], lane by lane. rows: a multiple
// of BLOCK, cols: of VW.
void eng_sums(__local const CT *stage, int q, __local const CT *g, int rows, int cols, int kw, int dw,
              __local CT *sums, VT zero) {
    for (int kx = 0; kx < kw; kx++, sums += KH * VW) {
        VT a[KH], b[KH];
        _Pragma("unroll") for (int k = 0; k < KH; k++) a[k] = LOADL(sums + k * VW), b[k] = zero;
        for (int i = 0; i < rows; i += BLOCK)
            for (int x = 0; x < cols; x += VW) {
                __local const CT *p = stage + i * q + x + kx * dw, *d = g + i * cols + x;
                VT r[BLOCK];
                _Pragma("unroll") for (int j = 0; j < BLOCK; j++) r[j] = LOADL(d + j * cols);
                _Pragma("unroll") for (int j = 0; j < BLOCK + KH - 1; j++) {
                    const VT v = LOADL(p + j * q);
                    _Pragma("unroll") for (int k = 0; k < KH; k++)
                        if (j >= k && j - k < BLOCK) {
                            if ((j - k) % 2)
                                b[k] = r[j - k] * v + b[k];
                            else
                                a[k] = r[j - k] * v + a[k];
                        }
                }
            }
        _Pragma("unroll") for (int k = 0; k < KH; k++) STOREL(sums + k * VW, a[k] + b[k]);
    }
}

// Group (`chunk` images, conv group). part: [split][groups * oc][c][KH * kw]. rows: output rows staged at a time, a
// multiple of BLOCK. c, oc: channels a group.
KATTR __kernel void eng_conv_rows_dw(__global const ST *x, long x_off, __global const ST *dy, long dy_off,
                                     __global CT *part, long part_off, long batch, long groups, long c, long oc,
                                     long ih_, long iw_, long oh_, long ow_, long kw_, long ph_, long pw_, long dw_,
                                     long rows, long chunk) {
    __local CT stage[STAGE] __attribute__((aligned(64)));
    __local CT grad[GRAD] __attribute__((aligned(64)));
    __local CT sums[SUMS] __attribute__((aligned(64)));
    const int ih = (int)ih_, iw = (int)iw_, oh = (int)oh_, ow = (int)ow_, kw = (int)kw_, ph = (int)ph_, pw = (int)pw_;
    const int dw = (int)dw_, taps = KH * kw, cols = (ow + VW - 1) / VW * VW, q = cols + (kw - 1) * dw;
    const long n0 = get_group_id(0) * chunk, n1 = n0 + chunk < batch ? n0 + chunk : batch;
    const int g = (int)get_group_id(1), each = taps * VW, made = (int)(c * oc);
    for (int i = 0; i < made * each; i += VW) STOREL(sums + i, (VT)(0));
    for (long n = n0; n < n1; n++)
        for (int y = 0; y < oh; y += (int)rows) {
            const int left = oh - y < (int)rows ? oh - y : (int)rows, r = (left + BLOCK - 1) / BLOCK * BLOCK;
            const int nr = r + KH - 1;
            for (int i = 0; i < (int)c; i++)
                eng_stage(x + x_off + ((n * groups + g) * c + i) * ih * iw, ih, iw, y - ph, -pw, nr, q,
                          stage + i * nr * q, (VT)(0));
            for (int o = 0; o < (int)oc; o++) {
                eng_stage(dy + dy_off + ((n * groups + g) * oc + o) * oh * ow, oh, ow, y, 0, r, cols, grad, (VT)(0));
                for (int i = 0; i < (int)c; i++)
                    eng_sums(stage + i * nr * q, q, grad, r, cols, kw, dw, sums + (o * (int)c + i) * each, (VT)(0));
            }
        }
    __global CT *out = part + part_off + (get_group_id(0) * groups + g) * made * taps;
    for (int m = 0; m < made; m++)
        for (int k = 0; k < kw; k++)
            for (int j = 0; j < KH; j++) {
                __local const CT *s = sums + m * each + (k * KH + j) * VW;
                CT t = (CT)0;
                for (int i = 0; i < VW; i++) t += s[i];
                out[m * taps + j * kw + k] = t;
            }
}

// out[i] = sum over the splits of part[split][i].
KATTR __kernel void eng_conv_rows_sum(__global const CT *part, long part_off, __global ST *out, long out_off, long n,
                                      long splits) {
    const long chunk = (n + (long)get_num_groups(0) - 1) / (long)get_num_groups(0), i0 = get_group_id(0) * chunk;
    for (long i = i0; i < i0 + chunk && i < n; i++) {
        CT s = (CT)0;
        for (long j = 0; j < splits; j++) s += part[part_off + j * n + i];
        STORE(out + out_off, i, s);
    }
}
