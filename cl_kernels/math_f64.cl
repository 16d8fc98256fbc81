// float64 elementary functions, in the manner of math_f32.cl.

#define ENG_TINY_f64 1e-17

// quotients below this are whole numbers with bits to spare
#define ENG_WHOLE_f64 1125899906842624.0

#define ENG_EPSILON_f64 2.2204460492503131e-16

#define ENG_LEAST_f64 1e-290

#define ENG_HALF_PI_f64 1.5707963267948966

#define ENG_HALF_PI_LOW_f64 6.123233995736766e-17

#define ENG_HUGE_f64 0x1p500

#define ENG_SCALE_f64 0x1p600

// -- exponentials --------------------------------------------------------------------------------------------------------

// n as a double plus 1.5 * 2^52: the low bits are the integer
#define ENG_SHIFT_f64 6755399441055744.0

#define eng_scale_f64(y, n) \
  ((y) * as_double((long)(((n) >> 1) + 1023) << 52) * as_double((long)((n) - ((n) >> 1) + 1023) << 52))

// (e^r - 1 - r) / r^2
#define eng_exp_poly_f64(r) \
  (0.5 + (r) * (0.166666666666666771 + (r) * (0.0416666666666667035 + (r) * (8.33333333332114894e-3 + (r) * ( \
  1.38888888888658095e-3 + (r) * (1.98412698874945035e-4 + (r) * (2.48015873625466386e-5 + (r) * ( \
  2.75572426993460446e-6 + (r) * (2.75572410754775295e-7 + (r) * (2.51096049540356503e-8 + \
  (r) * 2.09249607783593584e-9))))))))))

// (2^r - 1) / r
#define eng_exp2_poly_f64(r) \
  (0.693147180559945308 + (r) * (0.240226506959100712 + (r) * (0.0555041086648217007 + (r) * ( \
  9.61812910762849555e-3 + (r) * (1.33335581463898669e-3 + (r) * (1.54035303933404464e-4 + (r) * ( \
  1.52527338568237984e-5 + (r) * (1.32154868335775847e-6 + (r) * (1.01780509490307746e-7 + (r) * ( \
  7.05488806131745572e-9 + (r) * (4.45671523464795789e-10 + (r) * 2.57420660570210881e-11)))))))))))

#define ENG_EXP_SPLIT_f64(x) \
  const double t = (x) * 1.4426950408889634 + ENG_SHIFT_f64, n = t - ENG_SHIFT_f64; \
  const double r = ((x) - n * 0x1.62e42fee00000p-1) - n * 0x1.a39ef35793c76p-33, p = r + r * r * eng_exp_poly_f64(r);

// e^x times 2^extra
ENG_FN double eng_exp_by_f64(double x, int extra) {
  x = x > 712.0 ? 712.0 : x;
  x = x < -750.0 ? -750.0 : x;
  ENG_EXP_SPLIT_f64(x)
  const int k = (int)as_long(t) + extra;
  return eng_scale_f64(1.0 + p, k);
}

ENG_FN double eng_exp_f64(double x) { return eng_exp_by_f64(x, 0); }

ENG_FN double eng_exp2_f64(double x) {
  x = x > 1030.0 ? 1030.0 : x;
  x = x < -1090.0 ? -1090.0 : x;
  const double t = x + ENG_SHIFT_f64, r = x - (t - ENG_SHIFT_f64);
  const int k = (int)as_long(t);
  return eng_scale_f64(1.0 + r * eng_exp2_poly_f64(r), k);
}

// (e^x - 1) / 2, finite as long as e^x / 2 is
ENG_FN double eng_half_expm1_f64(double x) {
  x = x > 710.5 ? 710.5 : x;
  x = x < -45.0 ? -45.0 : x;
  ENG_EXP_SPLIT_f64(x)
  const int k = (int)as_long(t) + 1022;
  const double h = as_double((long)(k > 2046 ? 2046 : k) << 52), more = k > 2046 ? 2.0 : 1.0;
  return (h * p + (h - 0.5)) * more;
}

ENG_FN double eng_tanh_f64(double x) {
  const double a = eng_abs_f64(x), b = a > 20.0 ? 20.0 : a;
  const double h = eng_half_expm1_f64(2.0 * b), y = h / (h + 1.0);
  return eng_copysign_f64(a < ENG_TINY_f64 ? a : y, x);
}

ENG_FN double eng_sigmoid_f64(double x) {
  const double e = eng_exp_f64(-eng_abs_f64(x));
  return (x < 0 ? e : 1.0) / (1.0 + e);
}

ENG_FN double eng_normal_cdf_f64(double x) { return 0.5 + 0.5 * eng_erf_f64(x * 0.70710678118654752); }

// -- logarithms: x = 2^k (1 + f), s = f / (2 + f), log(1 + f) = f - (f^2/2 - s (f^2/2 + q Q(q))), q = s^2 ------------------

// (2 atanh(s) - 2 s) / s^3
#define eng_log_poly_f64(q) \
  (0.666666666666673488 + (q) * (0.399999999994111482 + (q) * (0.285714287432585321 + (q) * (0.22222198475762532 + \
  (q) * (0.181835697782684295 + (q) * (0.153139017172554926 + (q) * 0.147975273371773192))))))

#define ENG_LOG_SPLIT_f64(x) \
  const int small = (x) < 0x1p-1022; \
  const long u = as_long(small ? (x) * 0x1p54 : (x)); \
  const int e = ((int)(u >> 32) - 0x3fe6a09e) >> 20; \
  const double f = as_double(u - ((long)e << 52)) - 1.0, k = (double)(small ? e - 54 : e);

// log(1 + f) = f - half + rest
#define ENG_LOG_SERIES_f64 \
  const double s = f / (2.0 + f), q = s * s, half_square = 0.5 * f * f, rest = s * (half_square + q * eng_log_poly_f64(q));

ENG_FN double eng_log_f64(double x) {
  ENG_LOG_SPLIT_f64(x)
  ENG_LOG_SERIES_f64
  const double y = k * 0x1.62e42fee00000p-1 - ((half_square - (rest + k * 0x1.a39ef35793c76p-33)) - f);
  return eng_log_ends_f64(x, y);
}

// log(1 + f) as a sum of a number with few bits and the rest, for products with a constant in two parts
#define ENG_LOG_PAIR_f64 \
  const double top = as_double(as_long(f - half_square) & (long)0xffffffff00000000UL); \
  const double low = ((f - top) - half_square) + rest;

ENG_FN double eng_log2_f64(double x) {
  ENG_LOG_SPLIT_f64(x)
  ENG_LOG_SERIES_f64
  ENG_LOG_PAIR_f64
  const double h = top * 0x1.7154765200000p+0, l = (low + top) * 0x1.705fc2eefa200p-33 + low * 0x1.7154765200000p+0;
  const double w = k + h, y = w + (l + ((k - w) + h));
  return eng_log_ends_f64(x, y);
}

ENG_FN double eng_log10_f64(double x) {
  ENG_LOG_SPLIT_f64(x)
  ENG_LOG_SERIES_f64
  ENG_LOG_PAIR_f64
  const double k1 = k * 0x1.34413509e0000p-2, h = top * 0x1.bcb7b15200000p-2;
  const double l = k * 0x1.79fef311f12b3p-38 + (low + top) * 0x1.b9438ca9aadd5p-36 + low * 0x1.bcb7b15200000p-2;
  const double w = k1 + h, y = w + (l + ((k1 - w) + h));
  return eng_log_ends_f64(x, y);
}

ENG_FN double eng_log1p_f64(double x) {
  const double sum = 1.0 + x;
  const long u = as_long(sum);
  const int e = ((int)(u >> 32) - 0x3fe6a09e) >> 20;
  const double lost = e > 0 ? 1.0 - (sum - x) : x - (sum - 1.0);
  const double c = lost * as_double((long)(e > 1022 ? 1 : 1023 - e) << 52);
  const double f = as_double(u - ((long)e << 52)) - 1.0, k = (double)e;
  ENG_LOG_SERIES_f64
  const double y = k * 0x1.62e42fee00000p-1 - ((half_square - (rest + (k * 0x1.a39ef35793c76p-33 + (c - c * f)))) - f);
  const double z = eng_log_ends_f64(sum, y);
  return eng_abs_f64(x) < ENG_TINY_f64 ? x : z;
}

// -- circular functions --------------------------------------------------------------------------------------------------

// (sin(r) - r) / r^3 in q = r^2
#define eng_sin_poly_f64(q) \
  (-0.166666666666666317 + (q) * (8.33333333332231612e-3 + (q) * (-1.98412698297255403e-4 + (q) * ( \
  2.75573136620799464e-6 + (q) * (-2.50507532573292357e-8 + (q) * 1.58965040534003035e-10)))))

// (cos(r) - 1 + q / 2) / q^2
#define eng_cos_poly_f64(q) \
  (0.0416666666666665988 + (q) * (-1.3888888888873993e-3 + (q) * (2.48015872893963147e-5 + (q) * ( \
  -2.75573143264304179e-7 + (q) * (2.08757196131814573e-9 + (q) * -1.13594515052785421e-11)))))

// 2/pi, 64 bits a word, after a word of zeros
__constant ulong eng_two_over_pi_f64[21] = {
  0x0000000000000000UL, 0xa2f9836e4e441529UL, 0xfc2757d1f534ddc0UL, 0xdb6295993c439041UL,
  0xfe5163abdebbc561UL, 0xb7246e3a424dd2e0UL, 0x06492eea09d1921cUL, 0xfe1deb1cb129a73eUL,
  0xe88235f52ebb4484UL, 0xe99c7026b45f7e41UL, 0x3991d639835339f4UL, 0x9c845f8bbdf9283bUL,
  0x1ff897ffde05980fUL, 0xef2f118b5a0a6d1fUL, 0x6d367ecf27cb09b7UL, 0x4f463f669e5fea2dUL,
  0x7527bac7ebe5f17bUL, 0x3d0739f78a5292eaUL, 0x6bfb5fb11f8d5d08UL, 0x56033046fc7b6babUL,
  0xf0cfbc209af4361dUL
};

// Payne and Hanek 1983: m 2^e with m of 53 bits times those bits of 2/pi that matter, from weight 2 on
ENG_FN double eng_quarter_far_f64(double x, int* quadrant) {
  const long u = as_long(x) & 0x7fffffffffffffffL;
  const int j = (int)(u >> 52) - 1013, w = j >> 6, left = j & 63;
  const ulong m = (ulong)((u & 0xfffffffffffffL) | 0x10000000000000L);
  const ulong a = eng_two_over_pi_f64[w], b = eng_two_over_pi_f64[w + 1], c = eng_two_over_pi_f64[w + 2],
              d = eng_two_over_pi_f64[w + 3];
  const ulong w0 = (a << left) | ((b >> 1) >> (63 - left));
  const ulong w1 = (b << left) | ((c >> 1) >> (63 - left));
  const ulong w2 = (c << left) | ((d >> 1) >> (63 - left));
  const ulong low = m * w1 + mul_hi(m, w2), top = m * w0 + mul_hi(m, w1) + (low < m * w1 ? 1 : 0);
  const int n = (int)((top + 0x2000000000000000UL) >> 62);
  const double r = ((double)(long)(top - ((ulong)n << 62)) + (double)low * 0x1p-64) * (ENG_HALF_PI_f64 * 0x1p-62);
  *quadrant = as_long(x) < 0 ? -n : n;
  return as_long(x) < 0 ? -r : r;
}

// Cody and Waite with pi/2 in three parts, good to 2^30
ENG_FN double eng_quarter_f64(double x, int* quadrant) {
  if (eng_abs_f64(x) > 0x1p30) {
    if (x - x != 0) return ENG_NAN_f64;
    return eng_quarter_far_f64(x, quadrant);
  }
  const double t = x * 0.63661977236758134 + ENG_SHIFT_f64, n = t - ENG_SHIFT_f64;
  *quadrant = (int)as_long(t);
  const double r = eng_hw_fma_f64(-n, 0x1.1a62633145c07p-54, eng_hw_fma_f64(-n, 0x1.921fb54442d18p+0, x));
  return eng_hw_fma_f64(-n, -0x1.f1976b7ed8fbcp-110, r);
}

#define ENG_SIN_COS_f64 \
  int n = 0; \
  const double r = eng_quarter_f64(x, &n), q = r * r, s = r + r * q * eng_sin_poly_f64(q); \
  const double c = 1.0 - (0.5 * q - q * q * eng_cos_poly_f64(q));

ENG_FN double eng_sin_f64(double x) {
  ENG_SIN_COS_f64
  const double y = (n & 1) ? c : s, z = (n & 2) ? -y : y;
  return x == 0 ? x : z;
}

ENG_FN double eng_cos_f64(double x) {
  ENG_SIN_COS_f64
  const double y = (n & 1) ? s : c;
  return ((n + 1) & 2) ? -y : y;
}

ENG_FN double eng_tan_f64(double x) {
  ENG_SIN_COS_f64
  const double a = (n & 1) ? -c : s, b = (n & 1) ? s : c, y = a / b;
  return x == 0 ? x : y;
}

// (atan(z) - z) / z^3 in q = z^2, 0 <= z <= 1
#define eng_atan_poly_f64(q) \
  (-0.333333333333332901 + (q) * (0.19999999999991236 + (q) * (-0.142857142850863891 + (q) * (0.11111111088051486 + \
  (q) * (-0.0909090857841658856 + (q) * (0.0769230011240021094 + (q) * (-0.066665873415413482 + (q) * ( \
  0.0588174006900941598 + (q) * (-0.0525955273923234574 + (q) * (0.0474538034064731793 + (q) * ( \
  -0.0428774065538785177 + (q) * (0.0382415361635439813 + (q) * (-0.0328432281316032856 + (q) * ( \
  0.026235202850651111 + (q) * (-0.0187086535730966104 + (q) * (0.0114001970703459965 + (q) * ( \
  -5.66699675079727923e-3 + (q) * (2.17801249438231026e-3 + (q) * (-6.01711141939006503e-4 + (q) * ( \
  1.05684884051321072e-4 + (q) * -8.8272391087636062e-6))))))))))))))))))))

// (asin(z) - z) / z^3 in q = z^2, 0 <= z <= 1/2
#define eng_asin_poly_f64(q) \
  (0.166666666666667629 + (q) * (0.0749999999997010934 + (q) * (0.0446428571752769093 + (q) * ( \
  0.0303819426756742946 + (q) * (0.0223722158958287178 + (q) * (0.0173515956651175656 + (q) * ( \
  0.0139810167219772323 + (q) * (0.0113973067121501346 + (q) * (0.0107892503902449099 + (q) * ( \
  3.67243272218658399e-3 + (q) * (0.0217900875942360734 + (q) * (-0.0211159824551136464 + \
  (q) * 0.0327017325290038771))))))))))))

// -- error functions -----------------------------------------------------------------------------------------------------

// erf(x) / x in q = x^2, 0 <= x <= 1
#define eng_erf_poly_f64(q) \
  (1.12837916709551257 + (q) * (-0.376126389031837482 + (q) * (0.112837916709548845 + (q) * (-0.0268661706450778751 + \
  (q) * (5.22397762482843067e-3 + (q) * (-8.54832698142554209e-4 + (q) * (1.20553311329558196e-4 + (q) * ( \
  -1.49255957721809053e-5 + (q) * (1.64610084778027013e-6 + (q) * (-1.63503962228646163e-7 + (q) * ( \
  1.46603287227422595e-8 + (q) * (-1.13749557360701496e-9 + (q) * 5.96068533852097103e-11))))))))))))

ENG_FN double eng_erf_f64(double x) {
  const double a = eng_abs_f64(x), q = x * x;
  const double near = x * eng_erf_poly_f64(q), far = eng_copysign_f64(1.0 - eng_erfc_f64(a), x);
  return a < 1.0 ? near : far;
}

// (1 + 2a) e^(a^2) erfc(a) as a polynomial in (a - 3.75) / (a + 3.75), after Shepherd and Laframboise 1981
#define eng_erfc_poly_f64(t) \
  (1.23751263083782758 + (t) * (-0.140240598585546979 + (t) * (3.58541548546470741e-3 + (t) * ( \
  0.0822767384901466812 + (t) * (-0.108803930141762711 + (t) * (0.0923043211603378267 + (t) * ( \
  -0.0586933985893677632 + (t) * (0.0283622774194469584 + (t) * (-9.74657956071639033e-3 + (t) * ( \
  1.75562584953434243e-3 + (t) * (2.93713681369256703e-4 + (t) * (-2.90154066511381816e-4 + (t) * ( \
  5.16490403506765727e-5 + (t) * (2.23842016350921093e-5 + (t) * (-1.14440036435614254e-5 + (t) * ( \
  -9.73494257927729289e-7 + (t) * (1.75140650190624891e-6 + (t) * (-5.72929650315270384e-8 + (t) * ( \
  -2.58421532249521987e-7 + (t) * (2.33168539012347173e-8 + (t) * (3.85082881379726326e-8 + (t) * ( \
  -3.76588500350622933e-9 + (t) * (-5.10918718026512169e-9 + (t) * (3.14967811553827317e-10 + \
  (t) * 4.14163878814348885e-10))))))))))))))))))))))))

// e^(a^2) erfc(a) for a >= 0
ENG_FN double eng_erfc_scaled_f64(double a) { return eng_erfc_poly_f64((a - 3.75) / (a + 3.75)) / (1.0 + 2.0 * a); }

// e^(-w a^2) for w = 1 or 1/2: the square as a sum of two numbers
ENG_FN double eng_exp_minus_square_f64(double a, double w) {
  const double b = as_double(as_long(a) & (long)0xfffffffff8000000UL), c = a - b, s = a * a;
  const double lost = (b * b - s) + (2.0 * b * c + c * c), e = eng_exp_f64(-w * s);
  return e - e * (w * lost);
}

// -- division ------------------------------------------------------------------------------------------------------------

ENG_FN double eng_fmod_f64(double a, double b) { return eng_fmod_by_branch_f64(a, b); }

// -- powers --------------------------------------------------------------------------------------------------------------

// a * b as a sum: *low gets what the rounded product lost
ENG_FN double eng_product_f64(double a, double b, double* low) {
  const double p = a * b;
  *low = eng_hw_fma_f64(a, b, -p);
  return p;
}

// (2 atanh(s) - 2 s - 2/3 s^3) / s^5
#define eng_log_rest_f64(q) \
  (0.399999999999999773 + (q) * (0.285714285714452175 + (q) * (0.222222222175106113 + (q) * (0.181818188734972996 + \
  (q) * (0.153845566532518102 + (q) * (0.133363258172430229 + (q) * (0.116746476484107068 + \
  (q) * 0.119904390078969906)))))))

// log2 of x > 0 as a sum of two doubles: s = f / (2 + f), log(1 + f) = 2 atanh(s), its first two terms in double length
ENG_FN double eng_log2_pair_f64(double x, double* low) {
  ENG_LOG_SPLIT_f64(x)
  double q2, c2, v2, g1;
  const double t = 2.0 + f, t2 = f - (t - 2.0), s = f / t, s2 = (eng_hw_fma_f64(-s, t, f) - s * t2) / t;
  const double q = eng_product_f64(s, s, &q2), q3 = q2 + 2.0 * s * s2;
  const double c = eng_product_f64(s, q, &c2), c3 = c2 + (s * q3 + s2 * q);
  const double v = eng_product_f64(c, 0x1.5555555555555p-1, &v2), v3 = v2 + (c3 * 0x1.5555555555555p-1 + c * 0x1.5555555555555p-55);
  const double a = 2.0 * s, h = a + v, l = ((a - h) + v) + (v3 + (2.0 * s2 + c * q * eng_log_rest_f64(q)));
  const double g = eng_product_f64(h, 0x1.71547652b82fep+0, &g1), g2 = g1 + (l * 0x1.71547652b82fep+0 + h * 0x1.777d0ffda0d24p-56);
  const double sum = k + g, rest = (g - (sum - k)) + g2, r = sum + rest;
  *low = rest - (r - sum);
  return r;
}

ENG_FN double eng_pow_f64(double x, double y) {
  const double a = eng_abs_f64(x), up = y > 0x1p70 ? 0x1p70 : y, b = up < -0x1p70 ? -0x1p70 : up;
  double l2, e1;
  const double l1 = eng_log2_pair_f64(a, &l2), p = eng_product_f64(b, l1, &e1);
  const double capped = p > 1030.0 ? 1030.0 : p, z = capped < -1090.0 ? -1090.0 : capped;
  const double t = z + ENG_SHIFT_f64, n = t - ENG_SHIFT_f64, rest = e1 + b * l2;
  const double r = (z - n) + (z == p ? rest : 0.0), w = 1.0 + r * eng_exp2_poly_f64(r);
  const int k = (int)as_long(t);
  double v = eng_scale_f64(w, k);
  const double end = ((a == 0) != (y < 0)) ? 0.0 : (double)INFINITY;  // 0^y and inf^y
  v = ((a == 0) | (a == INFINITY)) ? end : v;
  const double half_y = 0.5 * y, floor_y = eng_hw_floor_f64(y), floor_half = eng_hw_floor_f64(half_y);
  const int whole = floor_y == y, odd = whole & (floor_half != half_y);
  v = as_double(as_long(v) ^ (odd ? as_long(x) & ENG_SIGN_f64 : 0L));
  v = ((x < 0) & (whole == 0) & (a != INFINITY)) ? ENG_NAN_f64 : v;
  const double sum = x + y;
  v = ((x != x) | (y != y)) ? sum : v;
  return ((y == 0) | (x == 1.0)) ? 1.0 : v;
}
