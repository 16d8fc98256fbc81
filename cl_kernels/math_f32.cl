// float32 elementary functions of operators, ternaries and bit casts only: the loop vectoriser of the compiler takes
// them as they are. Polynomials are minimax fits (Remez, 50 digits); bounds in ulp are tested in tests/graph/test_math.py.

// |x| below which f(x) = x for the functions with f'(0) = 1
#define ENG_TINY_f32 1e-8f

// quotients below this are whole numbers with bits to spare
#define ENG_WHOLE_f32 4194304.0f

#define ENG_EPSILON_f32 1.19209290e-7f

#define ENG_LEAST_f32 1e-30f

#define ENG_HALF_PI_f32 1.57079637f

#define ENG_HALF_PI_LOW_f32 (-4.37113883e-8f)

#define ENG_HUGE_f32 0x1p60f

#define ENG_SCALE_f32 0x1p70f

// -- exponentials: x = n ln 2 + r, |r| <= ln(2) / 2 (Cody and Waite 1980) --------------------------------------------

// n as a float plus 1.5 * 2^23: the low bits are the integer
#define ENG_SHIFT_f32 12582912.0f

// The same for 254 + n
#define ENG_SHIFT_BIASED_f32 12583166.0f

// y 2^n for -252 <= n <= 254, from 254 + n in the low 9 bits, by two factors one after the other: rounds once, also where
// results are subnormal
ENG_FN float eng_scale_f32(float y, int biased) {
  const uint a = ((uint)biased << 22) & 0x7f800000u;
  return y * as_float(a) * as_float(((uint)biased << 23) - a);
}

// y 2^n for normal results, 1/2 <= y < 2, from n in the low 9 bits
#define eng_scale_mid_f32(y, n) as_float((uint)as_int(y) + ((uint)(n) << 23))

// (e^r - 1 - r) / r^2
#define eng_exp_poly_f32(r) \
  (0.50000001f + (r) * (0.166665177f + (r) * (0.0416662025f + (r) * (0.0083690245f + (r) * 0.00139507099f))))

// e^x times 2^extra
ENG_FN float eng_exp_by_f32(float x, int extra) {
  x = x > 90.0f ? 90.0f : x;
  x = x < -105.0f ? -105.0f : x;
  const float shift = ENG_SHIFT_BIASED_f32 + (float)extra, t = x * 1.44269504f + shift, n = t - shift;
  const float r = (x - n * 0.693145752f) - n * 1.42860677e-6f;
  return eng_scale_f32(1.0f + r * (1.0f + r * eng_exp_poly_f32(r)), as_int(t));
}

ENG_FN float eng_exp_f32(float x) { return eng_exp_by_f32(x, 0); }

// e^x for results that are normal numbers: -87 <= x <= 88
ENG_FN float eng_exp_mid_f32(float x) {
  const float t = x * 1.44269504f + ENG_SHIFT_f32, n = t - ENG_SHIFT_f32;
  const float r = (x - n * 0.693145752f) - n * 1.42860677e-6f;
  const float p = 1.0f + r * (1.0f + r * eng_exp_poly_f32(r));
  return eng_scale_mid_f32(p, as_int(t));
}

ENG_FN float eng_exp2_f32(float x) {
  x = x > 130.0f ? 130.0f : x;
  x = x < -152.0f ? -152.0f : x;
  const float t = x + ENG_SHIFT_BIASED_f32, n = t - ENG_SHIFT_BIASED_f32, r = x - n;
  const float p = 1.0f + r * (0.693147181f + r * (0.240226511f + r * (0.0555041096f + r * (0.00961803692f +
                  r * (0.00133334302f + r * (0.000154671093f + r * 1.53150599e-5f))))));
  return eng_scale_f32(p, as_int(t));
}

// (e^x - 1) / 2, finite as long as e^x / 2 is
ENG_FN float eng_half_expm1_f32(float x) {
  x = x > 89.5f ? 89.5f : x;
  x = x < -20.0f ? -20.0f : x;
  const float t = x * 1.44269504f + ENG_SHIFT_f32, n = t - ENG_SHIFT_f32;
  const float r = (x - n * 0.693145752f) - n * 1.42860677e-6f;
  const float p = r + r * r * eng_exp_poly_f32(r);
  const int k = as_int(t) - 0x4b400000 + 126;
  const float h = as_float((k > 254 ? 254 : k) << 23), more = k > 254 ? 2.0f : 1.0f;
  return (h * p + (h - 0.5f)) * more;
}

// With h = (e^2a - 1) / 2 it is h / (h + 1)
ENG_FN float eng_tanh_f32(float x) {
  const float a = eng_abs_f32(x), b = a > 10.0f ? 10.0f : a, y = b + b;
  const float t = y * 1.44269504f + (ENG_SHIFT_f32 - 1.0f), n = t - (ENG_SHIFT_f32 - 1.0f);
  const float r = (y - n * 0.693145752f) - n * 1.42860677e-6f;
  const float s = as_float(((uint)as_int(t) << 23) + 0x3f800000u);
  const float h = s * (r + r * r * eng_exp_poly_f32(r)) + (s - 0.5f), z = h / (h + 1.0f);
  return eng_copysign_f32(a < ENG_TINY_f32 ? a : z, x);
}

ENG_FN float eng_sigmoid_f32(float x) { return 1.0f / (1.0f + eng_exp_f32(-x)); }

// -- logarithms: x = 2^k (1 + f), sqrt(1/2) <= 1 + f < sqrt(2) -----------------------------------------------------------------

// (log(1 + f) - f + f^2/2) / f^3
#define eng_log_poly_f32(f) \
  (0.333333105f + (f) * (-0.249999865f + (f) * (0.200022257f + (f) * (-0.166692537f + (f) * (0.142186748f + \
  (f) * (-0.123843161f + (f) * (0.118728406f + (f) * (-0.117899198f + (f) * 0.0691576299f))))))))

#define ENG_LOG_SPLIT_f32(x) \
  const int small = (x) < 0x1p-126f; \
  const int u = as_int(small ? (x) * 0x1p23f : (x)), e = (u - 0x3f3504f3) >> 23; \
  const float f = as_float(u - (e << 23)) - 1.0f, k = (float)(small ? e - 23 : e);

ENG_FN float eng_log_f32(float x) {
  ENG_LOG_SPLIT_f32(x)
  const float q = f * f;
  const float y = k * 0.693145752f + (f + (k * 1.42860677e-6f + (f * q * eng_log_poly_f32(f) - 0.5f * q)));
  return eng_log_ends_f32(x, y);
}

ENG_FN float eng_log2_f32(float x) {
  ENG_LOG_SPLIT_f32(x)
  const float q = f * f, tail = f * q * eng_log_poly_f32(f) - 0.5f * q;
  // f log2(e): the leading part of the constant has few bits, so that the product is nearly exact
  const float y = k + (f * 1.4375f + (f * 0.00519504089f + tail * 1.44269504f));
  return eng_log_ends_f32(x, y);
}

ENG_FN float eng_log10_f32(float x) {
  ENG_LOG_SPLIT_f32(x)
  const float q = f * f, tail = f * q * eng_log_poly_f32(f) - 0.5f * q;
  const float y = k * 0.301025391f + (f * 0.43359375f + (k * 4.60503907e-6f + (f * 0.000700731903f + tail * 0.434294482f)));
  return eng_log_ends_f32(x, y);
}

ENG_FN float eng_log1p_f32(float x) {
  const float s = 1.0f + x;
  const int u = as_int(s), e = (u - 0x3f3504f3) >> 23;
  // what the sum lost (Kahan), brought to the scale of f
  const float lost = e > 0 ? 1.0f - (s - x) : x - (s - 1.0f);
  const float f = as_float(u - (e << 23)) - 1.0f, k = (float)e;
  const float c = lost * as_float((e > 126 ? 1 : 127 - e) << 23), q = f * f;
  const float y = k * 0.693145752f +
                  (f + (k * 1.42860677e-6f + (c - c * f + (f * q * eng_log_poly_f32(f) - 0.5f * q))));
  const float z = eng_log_ends_f32(s, y);
  return eng_abs_f32(x) < ENG_TINY_f32 ? x : z;
}

// -- circular functions --------------------------------------------------------------------------------------------------

// Reduction by integers (Payne and Hanek 1983): x = m 2^e with m of 24 bits; of the bits of 2/pi those from weight 2 on
// matter, 96 of them; the product's first two bits are the quadrant, the rest the angle in quarter turns. Words of 2/pi
// are chosen by single selects: nested ones become branches, which do not vectorise.
#define ENG_WORD_f32(name, w0, w1, w2, w3, w4) \
  uint name = w0; \
  name = k == 1 ? w1 : name; \
  name = k == 2 ? w2 : name; \
  name = k == 3 ? w3 : name; \
  name = k == 4 ? w4 : name;

ENG_FN float eng_quarter_by_integers_f32(float x, int* quadrant) {
  const int u = as_int(x) & 0x7fffffff, e = (u >> 23) - 120, j = e < 6 ? 6 : e, k = j >> 5;
  const uint left = (uint)j & 31u, right = 31u - left, m = (uint)((u & 0x7fffff) | 0x800000);
  ENG_WORD_f32(a, 0u, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u)
  ENG_WORD_f32(b, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u)
  ENG_WORD_f32(c, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u)
  ENG_WORD_f32(d, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu)
  const uint w0 = (a << left) | ((b >> 1) >> right);
  const uint w1 = (b << left) | ((c >> 1) >> right);
  const uint w2 = (c << left) | ((d >> 1) >> right);
  const ulong p = ((ulong)(m * w0) << 32) + (ulong)m * w1 + (((ulong)m * w2) >> 32);
  const uint top = (uint)(p >> 32);
  const int n = (int)((top + 0x20000000u) >> 30);
  // the fraction of a quarter turn in [-1/2, 1/2), as two words of 30 and 31 bits
  const int high = (int)(top - ((uint)n << 30)), low = (int)((uint)p >> 1), sign = as_int(x) & (int)0x80000000;
  const float h = (float)high, rest = (float)(high - (int)h) + (float)low * 0x1p-31f;
  float r = h * (1.57079637f * 0x1p-30f) + (h * (-4.37113883e-8f * 0x1p-30f) + rest * (1.57079637f * 0x1p-30f));
  r = as_float(as_int(r) ^ sign);
  r = u >= 0x7f800000 ? ENG_NAN_f32 : r;
  const int turn = sign != 0 ? -n : n, plain = u < 0x3f000000;  // below 1/2 nothing needs reducing
  *quadrant = plain ? 0 : turn;
  return plain ? x : r;
}

// Where doubles cost little, reduction in them: x = y 2^s with a whole y below 2^50 (s = 0: any y), and the angle is
// y (2^s mod 2 pi)
#define ENG_CHOOSE_f32(T, name, v0, v27, v54, v81) \
  T name = v0; \
  name = a >= 0x1p50f ? v27 : name; \
  name = a >= 0x1p77f ? v54 : name; \
  name = a >= 0x1p104f ? v81 : name;

#if defined(ENGINE_FP64) && defined(ENGINE_CPU)
ENG_FN float eng_quarter_f32(float x, int* quadrant) {
  const float a = eng_abs_f32(x);
  ENG_CHOOSE_f32(float, scale, 1.0f, 0x1p-27f, 0x1p-54f, 0x1p-81f)
  ENG_CHOOSE_f32(double, high, 1.0, -0x1.bcb4a23e73336p-1, 0x1.0392366c0e65cp+1, -0x1.082d219bb0225p+1)
  ENG_CHOOSE_f32(double, low, 0.0, -0x1.4cc11b4920ae8p-57, -0x1.af1dbc98e2e42p-56, 0x1.29b05b18df9e2p-54)
  const double y = (double)(x * scale), z = y * high, rest = eng_hw_fma_f64(y, high, -z) + y * low;
  const double t = z * 0.63661977236758134 + 6755399441055744.0, n = t - 6755399441055744.0;
  const double r = eng_hw_fma_f64(-n, 0x1.1a62633145c07p-54, eng_hw_fma_f64(-n, 0x1.921fb54442d18p+0, z)) + rest;
  *quadrant = (int)as_long(t);
  return (float)r;
}
#else
#define eng_quarter_f32(x, quadrant) eng_quarter_by_integers_f32(x, quadrant)
#endif

#define eng_sin_poly_f32(r, q) \
  ((r) - (r) * (q) * (0.166666666f + (q) * (-0.00833332914f + (q) * (0.000198392567f - (q) * 2.71756505e-6f))))
#define eng_cos_poly_f32(q) \
  (1.0f - 0.5f * (q) + (q) * (q) * (0.0416666666f + (q) * (-0.00138888834f + (q) * (2.47994364e-5f - (q) * 2.72033021e-7f))))

ENG_FN float eng_sin_f32(float x) {
  int n;
  const float r = eng_quarter_f32(x, &n), q = r * r, s = eng_sin_poly_f32(r, q), c = eng_cos_poly_f32(q);
  const float y = (n & 1) ? c : s, z = (n & 2) ? -y : y;
  return x == 0.0f ? x : z;
}

ENG_FN float eng_cos_f32(float x) {
  int n;
  const float r = eng_quarter_f32(x, &n), q = r * r, s = eng_sin_poly_f32(r, q), c = eng_cos_poly_f32(q);
  const float y = (n & 1) ? s : c;
  return ((n + 1) & 2) ? -y : y;
}

// Above this neither of the next two holds: they subtract multiples of pi in three parts (Cody and Waite 1980), each a
// little too small, so that -0 stays -0.
#define eng_wild_f32(x) ((as_int(x) & 0x7fffffff) > 0x48000000)

// x - n pi: the first step is exact, as is the second wherever much cancels in it
ENG_FN float eng_less_pi_f32(float x, float n) {
  const float a = eng_hw_fma_f32(n, -0x1.921fb4p+1f, x), b = eng_hw_fma_f32(n, -0x1.4442dp-23f, a);
  return eng_hw_fma_f32(n, -0x1.846988p-47f, b);
}

// sin(r) for |r| <= pi / 2
ENG_FN float eng_sin_half_f32(float r) {
  const float q = r * r;
  return r * (1.0f + q * (-0.1666666f + q * (0.00833307329f + q * (-0.0001980991f + q * 2.60605927e-6f))));
}

#if defined(ENGINE_CPU) && defined(__FMA__)
ENG_FN float eng_sin_tame_f32(float x) {
  const float t = x * 0.318309886f + ENG_SHIFT_f32, y = eng_sin_half_f32(eng_less_pi_f32(x, t - ENG_SHIFT_f32));
  return as_float((uint)as_int(y) ^ ((uint)as_int(t) << 31));
}
#else
#define eng_sin_tame_f32(x) eng_sin_f32(x)
#endif

// sin(x + pi/2)
#if defined(ENGINE_CPU) && defined(__FMA__)
ENG_FN float eng_cos_tame_f32(float x) {
  const float t = (x * 0.318309886f + 0.5f) + ENG_SHIFT_f32;
  const float y = eng_sin_half_f32(eng_less_pi_f32(x, (t - ENG_SHIFT_f32) - 0.5f));
  return as_float((uint)as_int(y) ^ ((uint)as_int(t) << 31));
}
#else
#define eng_cos_tame_f32(x) eng_cos_f32(x)
#endif

ENG_FN float eng_tan_f32(float x) {
  int n;
  const float r = eng_quarter_f32(x, &n), q = r * r, s = eng_sin_poly_f32(r, q), c = eng_cos_poly_f32(q);
  const float a = (n & 1) ? -c : s, b = (n & 1) ? s : c, y = a / b;
  return x == 0.0f ? x : y;
}

// (atan(z) - z) / z^3 in q = z^2, 0 <= z <= 1
#define eng_atan_poly_f32(q) \
  (-0.333333274f + (q) * (0.199996927f + (q) * (-0.142801317f + (q) * (0.110602515f + (q) * (-0.0881887585f + \
  (q) * (0.0675963733f + (q) * (-0.0449473898f + (q) * (0.0227611598f + (q) * (-0.00742302869f + \
  (q) * 0.00113495733f)))))))))

// (asin(z) - z) / z^3 in q = z^2, 0 <= z <= 1/2
#define eng_asin_poly_f32(q) \
  (0.166666594f + (q) * (0.0750054196f + (q) * (0.0445093792f + (q) * (0.0318735363f + (q) * (0.0141806637f + \
  (q) * 0.037890475f)))))

// -- error functions -----------------------------------------------------------------------------------------------------

// erf(x) / x in q = x^2, 0 <= x <= 1
#define eng_erf_poly_f32(q) \
  (1.12837917f + (q) * (-0.376126271f + (q) * (0.112836002f + (q) * (-0.0268544446f + (q) * (0.00518953519f + \
  (q) * (-0.000802083901f + (q) * 7.88911047e-5f))))))

ENG_FN float eng_erf_f32(float x) {
  const float a = eng_abs_f32(x), b = a > 4.0f ? 4.0f : a, q = b * b;
  const float near = x * eng_erf_poly_f32(q);
  // log(erfc(b)) for 1 <= b <= 4, the closer the larger erfc(b) is
  const float l = -0.00267215723f + b * (-1.11743691f + b * (-0.65449107f + b * (-0.088632773f + b * (0.0147776684f -
                  b * 0.00115036527f))));
  const float far = eng_copysign_f32(1.0f - eng_exp_mid_f32(l), x);
  return a < 1.0f ? near : far;
}

// The normal distribution function within 1e-7: one polynomial for its logarithm left of 0
ENG_FN float eng_normal_cdf_f32(float x) {
  const float a = eng_abs_f32(x);
  const float l = -0.693147166f + a * (-0.797885687f + a * (-0.318296586f + a * (-0.0363937162f + a * (0.00490434945f +
                  a * (-0.000101114993f + a * (-0.000126529704f + a * (2.67692207e-5f - a * 1.92137694e-6f)))))));
  const float tail = eng_exp_mid_f32(l), low = a < 9.0f ? tail : 0.0f, high = 1.0f - low;
  return x < 0 ? low : high;
}

// e^(a^2) erfc(a) for a >= 0
ENG_FN float eng_erfc_scaled_f32(float a) { return eng_erfc_poly_f32((a - 2.0f) / (a + 2.0f)) / (1.0f + 2.0f * a); }

// (1 + 2a) e^(a^2) erfc(a) as a polynomial in (a - 2) / (a + 2), after Shepherd and Laframboise 1981
#define eng_erfc_poly_f32(t) \
  (1.27697839f + (t) * (-0.0927637236f + (t) * (-0.166031015f + (t) * (0.164048647f + (t) * (-0.0542126108f + \
  (t) * (-0.00801435055f + (t) * (0.00869100851f + (t) * (0.00120670229f + (t) * (-0.00139783957f + \
  (t) * (-0.000347081704f + (t) * (0.000161662885f + (t) * 5.93897853e-5f)))))))))))

// e^(-w a^2) for w = 1 or 1/2: the square as a sum of two floats
ENG_FN float eng_exp_minus_square_f32(float a, float w) {
  const float b = as_float(as_int(a) & 0x7ffff000), c = a - b, s = a * a;
  const float lost = (b * b - s) + (2.0f * b * c + c * c), e = eng_exp_f32(-w * s);
  return e - e * (w * lost);
}

// -- division ------------------------------------------------------------------------------------------------------------

// By what to scale a divisor so that its reciprocal is a normal number
#define eng_lift_f32(b) \
  (eng_abs_f32(b) < 0x1p-100f ? 0x1p100f : eng_abs_f32(b) > 0x1p100f ? 0x1p-100f : 1.0f)

// a / b, given lift and 1 / (b lift): the quotient's own remainder corrects it to the nearest float (Markstein 1990), or
// nearly where a is below 2^-100. Where the remainder is zero or not a number (infinities) the product is right as it is.
ENG_FN float eng_over_f32(float a, float b, float lift, float inverse) {
  const float c = a * lift, q = c * inverse, rest = eng_hw_fma_f32(-q, b * lift, c);
  const float y = eng_hw_fma_f32(rest, inverse, q);
  return (((rest < 0) | (rest > 0)) & (y == y)) ? y : q;
}

// With doubles: b 2^(50 j) is taken away as often as it fits, for j from 5 to 0; every step is exact.
#define ENG_FMOD_STEP_f32(power) \
  { \
    const double w = v * power, q = eng_hw_trunc_f64(r * (inverse * (1.0 / power))), d = eng_hw_fma_f64(-q, w, r); \
    const double e = d < 0 ? d + w : d; \
    r = e >= w ? e - w : e; \
  }

#if defined(ENGINE_FP64) && defined(ENGINE_CPU)
ENG_FN float eng_fmod_f32(float a, float b) {
  const double v = (double)eng_abs_f32(b), inverse = 1.0 / v;
  double r = (double)eng_abs_f32(a);
  ENG_FMOD_STEP_f32(0x1p250)
  ENG_FMOD_STEP_f32(0x1p200)
  ENG_FMOD_STEP_f32(0x1p150)
  ENG_FMOD_STEP_f32(0x1p100)
  ENG_FMOD_STEP_f32(0x1p50)
  ENG_FMOD_STEP_f32(1.0)
  const float s = eng_copysign_f32((float)r, a);
  return ((v == INFINITY) & (eng_abs_f32(a) < INFINITY)) ? a : s;
}
#else
#define eng_fmod_f32(a, b) eng_fmod_by_branch_f32(a, b)
#endif

// -- powers --------------------------------------------------------------------------------------------------------------

// a * b as a sum: *low gets what the rounded product lost (Dekker 1971)
ENG_FN float eng_product_f32(float a, float b, float* low) {
  const float p = a * b, a1 = as_float(as_int(a) & (int)0xfffff000), b1 = as_float(as_int(b) & (int)0xfffff000);
  const float a2 = a - a1, b2 = b - b1;
  *low = ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2;
  return p;
}

// log2 of x > 0 as a sum of two floats: s = f / (2 + f), log(1 + f) = 2 atanh(s)
ENG_FN float eng_log2_pair_f32(float x, float* low) {
  ENG_LOG_SPLIT_f32(x)
  float e1, e2;
  const float t = 2.0f + f, t2 = f - (t - 2.0f), s = f / t, p = eng_product_f32(s, t, &e1);
  const float s2 = (((f - p) - e1) - s * t2) / t, q = s * s;
  const float tail = 2.0f * s2 + s * q * (0.666666664f + q * (0.400001007f + q * (0.285515373f + q * 0.234375f)));
  const float a = 2.0f * s, h = eng_product_f32(a, 1.44269502f, &e2);
  const float l = e2 + (a * 1.92596299e-8f + tail * 1.44269502f), sum = k + h, rest = l + (h - (sum - k));
  const float r = sum + rest;
  *low = rest - (r - sum);
  return r;
}

ENG_FN float eng_pow_f32(float x, float y) {
  const float a = eng_abs_f32(x), up = y > 0x1p40f ? 0x1p40f : y, b = up < -0x1p40f ? -0x1p40f : up;
  float l2, e1;
  const float l1 = eng_log2_pair_f32(a, &l2), p = eng_product_f32(b, l1, &e1);
  const float capped = p > 130.0f ? 130.0f : p, z = capped < -152.0f ? -152.0f : capped;
  const float t = z + ENG_SHIFT_BIASED_f32, n = t - ENG_SHIFT_BIASED_f32, rest = e1 + b * l2;
  const float r = (z - n) + (z == p ? rest : 0.0f);
  const float w = 1.0f + r * (0.693147181f + r * (0.240226511f + r * (0.0555041096f + r * (0.00961803692f +
                  r * (0.00133334302f + r * (0.000154671093f + r * 1.53150599e-5f))))));
  float v = eng_scale_f32(w, as_int(t));
  const float end = ((a == 0.0f) != (y < 0.0f)) ? 0.0f : INFINITY;  // 0^y and inf^y
  v = ((a == 0.0f) | (a == INFINITY)) ? end : v;
  const float half_y = 0.5f * y, floor_y = eng_hw_floor_f32(y), floor_half = eng_hw_floor_f32(half_y);
  const int whole = floor_y == y, odd = whole & (floor_half != half_y);
  v = as_float(as_int(v) ^ (odd ? as_int(x) & (int)0x80000000 : 0));
  v = ((x < 0.0f) & (whole == 0) & (a != INFINITY)) ? ENG_NAN_f32 : v;
  const float sum = x + y;
  v = ((x != x) | (y != y)) ? sum : v;
  return ((y == 0.0f) | (x == 1.0f)) ? 1.0f : v;
}
