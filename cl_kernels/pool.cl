// Max and average pooling, regular and adaptive, up to three spatial dimensions, forward and backward.
//
// A plane is one (image, channel). Indices are int64 positions in the input plane, as torch returns them.
//   eng_pool_item      `chunk` consecutive outputs a work-item, any window
//   eng_pool_rows      CPU: output rows, taps outermost, the inner loop over the row is vectorised
//   eng_pool_planes    CPU: averages over whole planes
//   eng_pool_grad_item `chunk` consecutive input elements a work-item, each sums what its windows send it
//   eng_pool_scatter   CPU: one plane at a time, outputs send to their windows
//
// Options: ST (stored), CT (computed), INTEGER, T_F16 / T_BF16, MAXIMUM or AVERAGE, ADAPTIVE, WITH_INDEX.

#include "stored.h"

#ifdef WITH_INDEX
#define INDEX_PARAM __global long *index, long index_off,
#else
#define INDEX_PARAM
#endif

#ifdef INTEGER
#define LOWEST (-0x7fffffffffffffffL - 1)
#else
#define LOWEST (-(CT)(1.0f / 0.0f))
#endif

// Sizes of one dimension: input, output, kernel, stride, padding, dilation.
typedef struct {
    int in, out, k, s, p, d;
} Dim;

// Window of output position o: positions begin, begin + step, ... below end; `full` counts the padding too.
typedef struct {
    int begin, end, step, full;
} Window;

Window eng_window(const Dim *a, int o) {
    Window w;
#ifdef ADAPTIVE
    w.begin = (int)((long)o * a->in / a->out);
    w.end = (int)(((long)(o + 1) * a->in + a->out - 1) / a->out);
    w.step = 1;
    w.full = w.end - w.begin;
#else
    int b = o * a->s - a->p;
    int e = b + (a->k - 1) * a->d + 1;
    const int limit = a->in + a->p;
    w.full = (e < limit ? e : limit) - b;
    w.begin = b >= 0 ? b : b + (-b + a->d - 1) / a->d * a->d;
    w.end = e < a->in ? e : a->in;
    w.step = a->d;
#endif
    return w;
}

#define DIMS                                                                                                \
    long planes, long id, long ih, long iw, long od, long oh, long ow, long kd, long kh, long kw, long sd,   \
        long sh, long sw, long pd, long ph, long pw, long dd, long dh, long dw, long include_pad, long divisor
#define SET_DIMS                                                                                            \
    const Dim az = {(int)id, (int)od, (int)kd, (int)sd, (int)pd, (int)dd};                                   \
    const Dim ay = {(int)ih, (int)oh, (int)kh, (int)sh, (int)ph, (int)dh};                                   \
    const Dim ax = {(int)iw, (int)ow, (int)kw, (int)sw, (int)pw, (int)dw};                                   \
    const long ipix = id * ih * iw, opix = od * oh * ow;

long eng_divisor(const Window *z, const Window *y, const Window *x, long include_pad, long divisor) {
    if (divisor != 0) return divisor;
    if (include_pad) return (long)z->full * y->full * x->full;
    return (long)(z->end - z->begin) * (y->end - y->begin) * (x->end - x->begin);
}

#define TAKE(v, at)                    \
    if ((v) > best || (v) != (v)) {    \
        best = (v);                    \
        where = (at);                  \
    }

KATTR __kernel void eng_pool_item(__global const ST *x, long x_off, __global ST *out, long out_off,
                                  INDEX_PARAM DIMS, long chunk) {
    SET_DIMS
    const long i0 = (long)get_global_id(0) * chunk, all = planes * opix;
    const long i1 = i0 + chunk < all ? i0 + chunk : all;
    for (long i = i0; i < i1; i++) {
        const long plane = i / opix;
        const int o = (int)(i - plane * opix);
        const int oz = o / (int)(oh * ow), oy = o / (int)ow % (int)oh, ox = o % (int)ow;
        const Window wz = eng_window(&az, oz), wy = eng_window(&ay, oy), wx = eng_window(&ax, ox);
        __global const ST *p = x + x_off + plane * ipix;
#ifdef MAXIMUM
        CT best = LOWEST;
        long where = ((long)wz.begin * ih + wy.begin) * iw + wx.begin;
#else
        CT sum = (CT)0;
#endif
        for (int z = wz.begin; z < wz.end; z += wz.step)
            for (int y = wy.begin; y < wy.end; y += wy.step) {
                const long row = ((long)z * ih + y) * iw;
                for (int c = wx.begin; c < wx.end; c += wx.step) {
                    const CT v = FETCH(p, row + c);
#ifdef MAXIMUM
                    TAKE(v, row + c)
#else
                    sum += v;
#endif
                }
            }
#ifdef MAXIMUM
        STORE(out + out_off, i, best);
#ifdef WITH_INDEX
        index[index_off + i] = where;
#endif
#else
        STORE(out + out_off, i, sum / (CT)eng_divisor(&wz, &wy, &wx, include_pad, divisor));
#endif
    }
}

#ifndef ADAPTIVE
#define SPAN 256
#define SHORT 24 // rows that are done an output at a time: vectors would be mostly empty

// First output position whose tap at offset t (from the window's start) is at or after the input position `at`.
int eng_reach(int at, int t, const Dim *a) {
    const int n = at + a->p - t;
    return n <= 0 ? 0 : (n + a->s - 1) / a->s;
}

#ifdef MAXIMUM
#define TAP_LOOP(S)                                       \
    for (int i = 0; i < n; i++) {                         \
        const CT v = FETCH(src, (long)i * (S));           \
        const int take = (v > m[i]) | (v != v);           \
        m[i] = take ? v : m[i];                           \
        at[i] = take ? pos + i * (S) : at[i];             \
    }
#else
#define TAP_LOOP(S) \
    for (int i = 0; i < n; i++) m[i] += FETCH(src, (long)i * (S));
#endif

KATTR __kernel void eng_pool_rows(__global const ST *x, long x_off, __global ST *out, long out_off,
                                  INDEX_PARAM DIMS, long rows) {
    SET_DIMS
    CT value[SPAN];
    int place[SPAN];
    const long all = planes * od * oh, r0 = (long)get_group_id(0) * rows;
    const long r1 = r0 + rows < all ? r0 + rows : all;
    Window across[SHORT];
    const int is_short = ow <= SHORT;
    for (int i = 0; is_short && i < (int)ow; i++) across[i] = eng_window(&ax, i);
    long plane = r0 / (od * oh);
    int oz = (int)(r0 / oh - plane * od), oy = (int)(r0 % oh) - 1;
    for (long r = r0; r < r1; r++) {
        if (++oy == (int)oh) {
            oy = 0;
            if (++oz == (int)od) {
                oz = 0;
                plane++;
            }
        }
        const Window wz = eng_window(&az, oz), wy = eng_window(&ay, oy);
        __global const ST *p = x + x_off + plane * ipix;
        if (is_short) {
            for (int i = 0; i < (int)ow; i++) {
                const Window wx = across[i];
#ifdef MAXIMUM
                CT best = LOWEST;
                int where = (wz.begin * ay.in + wy.begin) * ax.in + wx.begin;
#else
                CT sum = (CT)0;
#endif
                for (int z = wz.begin; z < wz.end; z += wz.step)
                    for (int y = wy.begin; y < wy.end; y += wy.step) {
                        const int row = (z * ay.in + y) * ax.in;
                        for (int c = row + wx.begin; c < row + wx.end; c += wx.step) {
                            const CT v = FETCH(p, c);
#ifdef MAXIMUM
                            const int take = (v > best) | (v != v);
                            best = take ? v : best;
                            where = take ? c : where;
#else
                            sum += v;
#endif
                        }
                    }
#ifdef MAXIMUM
                STORE(out + out_off, r * ow + i, best);
#ifdef WITH_INDEX
                index[index_off + r * ow + i] = where;
#endif
#else
                STORE(out + out_off, r * ow + i, sum / (CT)eng_divisor(&wz, &wy, &wx, include_pad, divisor));
#endif
            }
            continue;
        }
        for (int x0 = 0; x0 < (int)ow; x0 += SPAN) {
            const int x1 = x0 + SPAN < (int)ow ? x0 + SPAN : (int)ow;
#ifdef MAXIMUM
            const int first = (wz.begin * (int)ih + wy.begin) * (int)iw;
            for (int i = x0; i < x1; i++) {
                value[i - x0] = LOWEST;
                const int b = i * ax.s - ax.p;
                place[i - x0] = first + (b >= 0 ? b : b + (-b + ax.d - 1) / ax.d * ax.d);
            }
#else
            for (int i = 0; i < x1 - x0; i++) value[i] = (CT)0;
#endif
            for (int z = wz.begin; z < wz.end; z += wz.step)
                for (int y = wy.begin; y < wy.end; y += wy.step)
                    for (int t = 0; t < ax.k * ax.d; t += ax.d) {
                        int lo = eng_reach(0, t, &ax), hi = eng_reach(ax.in, t, &ax);
                        lo = lo > x0 ? lo : x0;
                        hi = hi < x1 ? hi : x1;
                        const int n = hi - lo, pos = (z * ay.in + y) * ax.in + lo * ax.s - ax.p + t;
                        __global const ST *src = p + pos;
                        CT *m = value + (lo - x0);
#ifdef MAXIMUM
                        int *at = place + (lo - x0);
#endif
                        if (ax.s == 1) {
                            TAP_LOOP(1)
                        } else if (ax.s == 2) {
                            TAP_LOOP(2)
                        } else {
                            TAP_LOOP(ax.s)
                        }
                    }
            __global ST *o = out + out_off + r * ow;
#ifdef MAXIMUM
            for (int i = x0; i < x1; i++) STORE(o, i, value[i - x0]);
#ifdef WITH_INDEX
            __global long *q = index + index_off + r * ow;
            for (int i = x0; i < x1; i++) q[i] = place[i - x0];
#endif
#else
            for (int i = x0; i < x1; i++) {
                const Window wx = eng_window(&ax, i);
                STORE(o, i, value[i - x0] / (CT)eng_divisor(&wz, &wy, &wx, include_pad, divisor));
            }
#endif
        }
    }
}

#ifdef AVERAGE
#define LANES 64
// One output a plane: the mean of `ipix` consecutive elements; `rows` planes a work-group.
KATTR __kernel void eng_pool_planes(__global const ST *x, long x_off, __global ST *out, long out_off, DIMS,
                                    long rows) {
    SET_DIMS
    const long r0 = (long)get_group_id(0) * rows, r1 = r0 + rows < planes ? r0 + rows : planes;
    for (long r = r0; r < r1; r++) {
        __global const ST *p = x + x_off + r * ipix;
        // Several sums: an addition does not wait for the one before.
        CT s[LANES];
        for (int j = 0; j < LANES; j++) s[j] = (CT)0;
        long i = 0;
        for (; i + LANES <= ipix; i += LANES)
            for (int j = 0; j < LANES; j++) s[j] += FETCH(p, i + j);
        CT sum = (CT)0;
        for (; i < ipix; i++) sum += FETCH(p, i);
        for (int j = 0; j < LANES; j++) sum += s[j];
        STORE(out + out_off, r, sum / (CT)(divisor != 0 ? divisor : ipix));
    }
}
#endif
#endif

#ifdef MAXIMUM
#define GRAD_INDEX __global const long *index, long index_off,
#else
#define GRAD_INDEX
#endif

// Outputs whose window may hold input position i: first..last.
void eng_covering(const Dim *a, int i, int *first, int *last) {
#ifdef ADAPTIVE
    *first = (int)((long)i * a->out / a->in);
    *last = (int)(((long)(i + 1) * a->out + a->in - 1) / a->in) - 1;
#else
    const int reach = (a->k - 1) * a->d;
    const int n = i + a->p - reach;
    *first = n <= 0 ? 0 : (n + a->s - 1) / a->s;
    *last = (i + a->p) / a->s;
#endif
    if (*last > a->out - 1) *last = a->out - 1;
}

KATTR __kernel void eng_pool_grad_item(__global const ST *dy, long dy_off, GRAD_INDEX __global ST *out,
                                       long out_off, DIMS, long chunk) {
    SET_DIMS
    const long i0 = (long)get_global_id(0) * chunk, all = planes * ipix;
    const long i1 = i0 + chunk < all ? i0 + chunk : all;
    for (long i = i0; i < i1; i++) {
        const long plane = i / ipix;
        const int q = (int)(i - plane * ipix);
        const int z = q / (int)(ih * iw), y = q / (int)iw % (int)ih, c = q % (int)iw;
        int z0, z1, y0, y1, x0, x1;
        eng_covering(&az, z, &z0, &z1);
        eng_covering(&ay, y, &y0, &y1);
        eng_covering(&ax, c, &x0, &x1);
        CT sum = (CT)0;
        for (int oz = z0; oz <= z1; oz++)
            for (int oy = y0; oy <= y1; oy++)
                for (int ox = x0; ox <= x1; ox++) {
                    const long o = plane * opix + ((long)oz * oh + oy) * ow + ox;
#ifdef MAXIMUM
                    if (index[index_off + o] == q) sum += FETCH(dy + dy_off, o);
#else
                    const Window wz = eng_window(&az, oz), wy = eng_window(&ay, oy), wx = eng_window(&ax, ox);
                    sum += FETCH(dy + dy_off, o) / (CT)eng_divisor(&wz, &wy, &wx, include_pad, divisor);
#endif
                }
        STORE(out + out_off, i, sum);
    }
}

#if !defined(T_F16) && !defined(T_BF16)
KATTR __kernel void eng_pool_scatter(__global const ST *dy, long dy_off, GRAD_INDEX __global ST *out, long out_off,
                                     DIMS, long chunk) {
    SET_DIMS
    const long r0 = (long)get_group_id(0) * chunk, r1 = r0 + chunk < planes ? r0 + chunk : planes;
    for (long r = r0; r < r1; r++) {
        __global ST *o = out + out_off + r * ipix;
        __global const ST *g = dy + dy_off + r * opix;
        for (long i = 0; i < ipix; i++) o[i] = (ST)0;
#ifdef MAXIMUM
        __global const long *at = index + index_off + r * opix;
        for (long i = 0; i < opix; i++) o[at[i]] += g[i];
#else
        for (int oz = 0; oz < (int)od; oz++) {
            const Window wz = eng_window(&az, oz);
            for (int oy = 0; oy < (int)oh; oy++) {
                const Window wy = eng_window(&ay, oy);
                for (int ox = 0; ox < (int)ow; ox++) {
                    const Window wx = eng_window(&ax, ox);
                    const ST v = *g++ / (ST)eng_divisor(&wz, &wy, &wx, include_pad, divisor);
                    for (int z = wz.begin; z < wz.end; z++)
                        for (int y = wy.begin; y < wy.end; y++) {
                            __global ST *row = o + ((long)z * ih + y) * iw;
                            for (int c = wx.begin; c < wx.end; c++) row[c] += v;
                        }
                }
            }
        }
#endif
    }
}
#endif
