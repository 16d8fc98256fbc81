// What the direct convolution's kernels read, made ready: weights turned around for grad-input, 16-bit floats widened.
// Options: VW lanes, CT_DOUBLE, T_F16 / T_BF16 (eng_conv_cast; weights are turned in CT).

#include "conv_types.h"
#include "transpose.h"

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

#if defined(T_F16) || defined(T_BF16)
// 16-bit floats to float.
KATTR __kernel void eng_conv_cast(__global const ST *a, long a_off, __global float *b, long b_off, long n, long chunk) {
    const long i0 = get_group_id(0) * chunk, i1 = i0 + chunk < n ? i0 + chunk : n;
    a += a_off;
    b += b_off;
    for (long i = i0; i < i1; i++) b[i] = FETCH(a, i);
}
#endif
