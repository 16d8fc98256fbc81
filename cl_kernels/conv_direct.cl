// Implicit-GEMM convolution for CPU devices: one work-item per work-group, explicit vectors.
//
//     out[n][oc][pix] = sum_k w[oc][k] * im2col(x)[k][pix]
//
// im2col rows are packed into local memory block by block (conv_pack.h) and multiplied in register tiles (conv_tile.h).
// Options: VW lanes, MR rows and NV vectors of the register tile, PANEL and CBUF sizes of the local buffers in
// elements, CT_DOUBLE, PHASED (strided grad-input), T_F16 / T_BF16 (stored type).

#ifndef EPILOGUE
#define EPILOGUE_PARAMS
#define EPILOGUE(c, n, oc, pix0, npix)
#endif
#include "conv_types.h"
#include "conv_pack.h"
#define A_AS __global
#include "conv_tile.h"

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

// Group (px block, oc block, conv group); PHASED (conv group x phase of z and y, oc block, px block).
// w: [groups][oc][c*kd*kh*kw] (phased: a slot of `slot` elements a phase). out: [n][groups*oc][...].  mc, nc: output channels and pixels a work-group, cb: input channels a
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
