// Weight gradient of the direct convolution for CPU devices:
//
//     dw[oc][k] = sum_pix dy[n][oc][pix] * im2col(x)[k][pix]
//
// Options: VW lanes, MR rows and NV vectors of the register tile; PANEL, ROWS_BUF and CBUF sizes of the local buffers in
// elements; CT_DOUBLE, T_F16 / T_BF16 (stored type).

#include "conv_types.h"
#include "conv_pack.h"
#include "transpose.h"
#define A_AS __local
#include "conv_tile.h"

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
