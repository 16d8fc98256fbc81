// Resampling of planes of up to three dimensions (nearest, linear, cubic) and its transpose, which is the gradient.
//
// Along each axis an output position is a weighted sum of a few consecutive input positions; the transpose sums the
// output positions whose window holds an input position. "in" and "out" of an axis are those of the resampling itself;
// with BACK the operand x is the gradient of the output and `out` that of the input.
//   eng_resample_rows   CPU: tables of windows in local memory, source rows blended first, then along the row
//   eng_resample_item   `chunk` consecutive results a work-item, no tables
//
// Options: ST (stored), CT (computed), T_F16 / T_BF16, KIND (1 nearest, 2 linear, 4 cubic), BACK; for the rows TABLE,
// STARTS and ROW, sizes of the local buffers in elements.

#include "stored.h"

// The last argument of the kernels' sizes holds a ratio's bits, for CT float or double.
#ifdef USE_FP64
#define RATIO(bits) as_double(bits)
#else
#define RATIO(bits) as_float((int)(bits))
#endif

// One axis: sizes, input positions an output position, and whether corners are aligned (nearest: centres are used).
typedef struct {
    int in, out, flag;
    CT ratio;
} Axis;

int eng_floor(CT v) {
    const int i = (int)v;
    return (CT)i > v ? i - 1 : i;
}

// First position of the window of output position o, and the weights of its KIND positions (0 beyond the end).
int eng_window(const Axis *a, int o, CT *w) {
    const int last = a->in - 1;
#if KIND == 1
    const int at = eng_floor(((CT)o + (a->flag ? (CT)0.5f : (CT)0)) * a->ratio);
    w[0] = (CT)1;
    return at < last ? at : last;
#else
    CT at = a->flag ? (CT)o * a->ratio : ((CT)o + (CT)0.5f) * a->ratio - (CT)0.5f;
#if KIND == 2
    at = at > 0 ? at : (CT)0;
    int low = (int)at;
    low = low < last ? low : last;
    CT f = at - (CT)low;
    f = low == last ? (CT)0 : f > 1 ? (CT)1 : f;
    w[0] = (CT)1 - f;
    w[1] = f;
    return low;
#else
    // Keys 1981 with a = -0.75; positions outside repeat the edge.
    const int low = eng_floor(at);
    const CT c = (CT)-0.75f, t = at - (CT)low, u = (CT)1 - t, s = t + (CT)1, v = u + (CT)1;
    const CT part[4] = {((c * s - 5 * c) * s + 8 * c) * s - 4 * c, ((c + 2) * t - (c + 3)) * t * t + 1,
                        ((c + 2) * u - (c + 3)) * u * u + 1, ((c * v - 5 * c) * v + 8 * c) * v - 4 * c};
    const int first = low < 1 ? 0 : low - 1 < last ? low - 1 : last;
    for (int i = 0; i < 4; i++) w[i] = (CT)0;
    for (int i = 0; i < 4; i++) {
        const int p = low - 1 + i, q = p < 0 ? 0 : p > last ? last : p;
        w[q - first] += part[i];
    }
    return first;
#endif
#endif
}

// First output position whose window reaches input position i.
int eng_first(const Axis *a, int i) {
    CT w[KIND];
    int lo = 0, hi = a->out;
    while (lo < hi) {
        const int mid = (lo + hi) / 2;
        if (eng_window(a, mid, w) + KIND - 1 < i)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

#ifdef BACK
#define FROM(a) ((a).out)
#define TO(a) ((a).in)
#else
#define FROM(a) ((a).in)
#define TO(a) ((a).out)
#endif

#define SIZES                                                                                          \
    long planes, long id, long ih, long iw, long od, long oh, long ow, long rz, long ry, long rx, long flag
#define SET_AXES                                                                                       \
    const Axis az = {(int)id, (int)od, (int)flag, RATIO(rz)}, ay = {(int)ih, (int)oh, (int)flag, RATIO(ry)}; \
    const Axis ax = {(int)iw, (int)ow, (int)flag, RATIO(rx)};                                          \
    const int fz = FROM(az), fy = FROM(ay), fx = FROM(ax), tz = TO(az), ty = TO(ay), tx = TO(ax);

// Windows of the results first..first+count: start[i] and weight[t][i]. Returns the most positions that one of them has.
int eng_table(const Axis *a, int first, int count, int taps, __local int *start, __local CT *weight) {
    CT w[KIND];
#ifdef BACK
    int used = 1;
    for (int i = 0; i < count; i++) {
        const int at = first + i, begin = eng_first(a, at);
        start[i] = begin;
        for (int t = 0; t < taps; t++) {
            CT v = (CT)0;
            if (begin + t < a->out) {
                const int s = eng_window(a, begin + t, w);
                if (s <= at && at < s + KIND) v = w[at - s];
            }
            weight[t * count + i] = v;
            if (v != (CT)0 && t >= used) used = t + 1;
        }
    }
    return used;
#else
    for (int i = 0; i < count; i++) {
        start[i] = eng_window(a, first + i, w);
        for (int t = 0; t < KIND; t++) weight[t * count + i] = w[t];
    }
    return KIND;
#endif
}

#ifdef TABLE
// out[i] = sum over t of weight[t][i] * row[start[i] + t].
void eng_along(__local const CT *row, __local const int *start, __local const CT *weight, int used, int n,
               __global ST *out) {
    if (used == 1)
        for (int i = 0; i < n; i++) STORE(out, i, weight[i] * row[start[i]]);
    else if (used == 2)
        for (int i = 0; i < n; i++) {
            __local const CT *p = row + start[i];
            STORE(out, i, weight[i] * p[0] + weight[n + i] * p[1]);
        }
    else if (used == 4)
        for (int i = 0; i < n; i++) {
            __local const CT *p = row + start[i];
            STORE(out, i, weight[i] * p[0] + weight[n + i] * p[1] + weight[2 * n + i] * p[2] + weight[3 * n + i] * p[3]);
        }
    else
        for (int i = 0; i < n; i++) {
            CT s = (CT)0;
            for (int t = 0; t < used; t++) s += weight[t * n + i] * row[start[i] + t];
            STORE(out, i, s);
        }
}

// Group: `chunk` rows of results, `cols` results of a row at a time. nz, ny, nx: positions of a window at most.
KATTR __kernel void eng_resample_rows(__global const ST *x, long x_off, __global ST *out, long out_off, SIZES, long nz,
                                      long ny, long nx, long cols, long chunk) {
    __local CT table[TABLE] __attribute__((aligned(64)));
    __local int starts[STARTS] __attribute__((aligned(64)));
    __local CT row[ROW] __attribute__((aligned(64)));
    SET_AXES
    __local CT *wz = table, *wy = wz + nz * tz, *wx = wy + ny * ty;
    __local int *sz = starts, *sy = sz + tz, *sx = sy + ty;
    const int uz = eng_table(&az, 0, tz, (int)nz, sz, wz), uy = eng_table(&ay, 0, ty, (int)ny, sy, wy);
    const long r0 = (long)get_group_id(0) * chunk, all = planes * tz * ty, r1 = r0 + chunk < all ? r0 + chunk : all;
    x += x_off;
    out += out_off;
    for (int c = 0; c < tx; c += (int)cols) {
        const int n = tx - c < (int)cols ? tx - c : (int)cols;
        const int ux = eng_table(&ax, c, n, (int)nx, sx, wx);
        const int base = sx[0];
        int width = sx[n - 1] + ux - base, inside = fx - base;
        inside = inside < width ? inside : width;
        for (int i = 0; i < n; i++) sx[i] -= base;
        for (int i = inside; i < width; i++) row[i] = (CT)0;
        for (long r = r0; r < r1; r++) {
            const long plane = r / (tz * ty);
            const int z = (int)(r / ty - plane * tz), y = (int)(r % ty);
            int fresh = 1;
            for (int k = 0; k < uz; k++)
                for (int j = 0; j < uy; j++) {
                    const CT w = wz[k * tz + z] * wy[j * ty + y];
                    if (w == (CT)0) continue;
                    __global const ST *src = x + ((plane * fz + sz[z] + k) * fy + sy[y] + j) * fx + base;
                    if (fresh)
                        for (int i = 0; i < inside; i++) row[i] = w * FETCH(src, i);
                    else
                        for (int i = 0; i < inside; i++) row[i] += w * FETCH(src, i);
                    fresh = 0;
                }
            if (fresh)
                for (int i = 0; i < inside; i++) row[i] = (CT)0;
            eng_along(row, sx, wx, ux, n, out + r * tx + c);
        }
    }
}
#endif

// One axis of the window of result i: positions first..last.
void eng_reach(const Axis *a, int i, int *first, int *last) {
#ifdef BACK
    *first = eng_first(a, i);
    *last = eng_first(a, i + KIND) - 1;
#else
    CT w[KIND];
    *first = eng_window(a, i, w);
    *last = *first + KIND - 1 < a->in - 1 ? *first + KIND - 1 : a->in - 1;
#endif
}

// Weight of position j in the window of result i.
CT eng_weight(const Axis *a, int i, int j) {
    CT w[KIND];
#ifdef BACK
    const int s = eng_window(a, j, w);
    return s <= i && i < s + KIND ? w[i - s] : (CT)0;
#else
    const int s = eng_window(a, i, w);
    return w[j - s];
#endif
}

KATTR __kernel void eng_resample_item(__global const ST *x, long x_off, __global ST *out, long out_off, SIZES,
                                      long chunk) {
    SET_AXES
    const long i0 = (long)get_global_id(0) * chunk, all = planes * tz * ty * tx;
    const long i1 = i0 + chunk < all ? i0 + chunk : all;
    x += x_off;
    out += out_off;
    for (long i = i0; i < i1; i++) {
        const long rest = i / tx, slice = rest / ty, plane = slice / tz;
        const int c = (int)(i - rest * tx), y = (int)(rest - slice * ty), z = (int)(slice - plane * tz);
        int z0, z1, y0, y1, x0, x1;
        eng_reach(&az, z, &z0, &z1);
        eng_reach(&ay, y, &y0, &y1);
        eng_reach(&ax, c, &x0, &x1);
        CT sum = (CT)0;
        for (int k = z0; k <= z1; k++) {
            const CT wk = eng_weight(&az, z, k);
            for (int j = y0; j <= y1; j++) {
                const CT wj = wk * eng_weight(&ay, y, j);
                __global const ST *src = x + ((plane * fz + k) * fy + j) * (long)fx;
                if (wj != (CT)0)
                    for (int q = x0; q <= x1; q++) {
                        const CT w = wj * eng_weight(&ax, c, q);
                        if (w != (CT)0) sum += w * FETCH(src, q);
                    }
            }
        }
        STORE(out, i, sum);
    }
}
