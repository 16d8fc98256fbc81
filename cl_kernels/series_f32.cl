// Chebyshev series for floats, from values of 40 digits at the nodes; argument on [-1, 1] (Clenshaw 1955).

ENG_FN float eng_clenshaw_f32(float y, __constant float* c, int n) {
  float b = 0, b1 = 0;
  for (int i = n - 1; i > 0; i--) {
    const float next = c[i] + 2 * y * b - b1;
    b1 = b;
    b = next;
  }
  return c[0] + y * b - b1;
}

// e^-x I0(x), 0 <= x <= 8
__constant float eng_t_i0_near_f32[19] = {
  0.338397637f, -0.304682672f, 0.171620901f, -0.094901097f, 0.0493052842f, -0.0237374148f, 0.0105464604f,
  -4.32430999e-3f, 1.63947562e-3f, -5.76375574e-4f, 1.88502885e-4f, -5.75419501e-5f, 1.64484481e-5f,
  -4.41673836e-6f, 1.11738754e-6f, -2.67079385e-7f, 6.04699502e-8f, -1.30002501e-8f, 2.65982372e-9f
};

ENG_FN float eng_c_i0_near_f32(float y) { return eng_clenshaw_f32(y, eng_t_i0_near_f32, 19); }

// sqrt(x) e^-x I0(x) in 8/x
__constant float eng_t_i0_far_f32[7] = {
  0.402245205f, 3.36911648e-3f, 6.88975835e-5f, 2.89137052e-6f, 2.04891859e-7f, 2.26666899e-8f, 3.39623203e-9f
};

ENG_FN float eng_c_i0_far_f32(float y) { return eng_clenshaw_f32(y, eng_t_i0_far_f32, 7); }

// e^-x I1(x) / x, 0 <= x <= 8
__constant float eng_t_i1_near_f32[18] = {
  0.126293593f, -0.176416518f, 0.102643659f, -0.0529459812f, 0.024726449f, -0.0105640849f, 4.15642294e-3f,
  -1.51357245e-3f, 5.12285956e-4f, -1.61760816e-4f, 4.78156511e-5f, -1.32731637e-5f, 3.47025131e-6f,
  -8.56872026e-7f, 2.00329475e-7f, -4.44505913e-8f, 9.38153739e-9f, -1.88724975e-9f
};

ENG_FN float eng_c_i1_near_f32(float y) { return eng_clenshaw_f32(y, eng_t_i1_near_f32, 18); }

// sqrt(x) e^-x I1(x) in 8/x
__constant float eng_t_i1_far_f32[7] = {
  0.389288117f, -9.76109749e-3f, -1.10588939e-4f, -3.88256481e-6f, -2.51223624e-7f, -2.63146885e-8f,
  -3.83538039e-9f
};

ENG_FN float eng_c_i1_far_f32(float y) { return eng_clenshaw_f32(y, eng_t_i1_far_f32, 7); }

// K0(x) + log(x/2) I0(x) in x^2, 0 < x <= 2
__constant float eng_t_k0_near_f32[7] = {
  -0.267663697f, 0.3442899f, 0.0359799365f, 1.26461541e-3f, 2.2862121e-5f, 2.53479108e-7f, 1.90451638e-9f
};

ENG_FN float eng_c_k0_near_f32(float y) { return eng_clenshaw_f32(y, eng_t_k0_near_f32, 7); }

// sqrt(x) e^x K0(x) in 2/x
__constant float eng_t_k0_far_f32[9] = {
  1.22015154f, -0.0314481013f, 1.56988389e-3f, -1.28495496e-4f, 1.39498137e-5f, -1.83175552e-6f, 2.76681364e-7f,
  -4.6604899e-8f, 8.57403402e-9f
};

ENG_FN float eng_c_k0_far_f32(float y) { return eng_clenshaw_f32(y, eng_t_k0_far_f32, 9); }

// x (K1(x) - log(x/2) I1(x)) in x^2, 0 < x <= 2
__constant float eng_t_k1_near_f32[7] = {
  0.762650114f, -0.353155961f, -0.122611181f, -6.97572386e-3f, -1.73028896e-4f, -2.43340614e-6f, -2.21338763e-8f
};

ENG_FN float eng_c_k1_near_f32(float y) { return eng_clenshaw_f32(y, eng_t_k1_near_f32, 7); }

// sqrt(x) e^x K1(x) in 2/x
__constant float eng_t_k1_far_f32[9] = {
  1.36031309f, 0.103923737f, -2.85781686e-3f, 1.95215518e-4f, -1.93619797e-5f, 2.40648495e-6f, -3.5019606e-7f,
  5.74108412e-8f, -1.03457625e-8f
};

ENG_FN float eng_c_k1_far_f32(float y) { return eng_clenshaw_f32(y, eng_t_k1_far_f32, 9); }

// J0(x) in x^2, 0 <= x <= 8
__constant float eng_t_j0_near_f32[12] = {
  0.157727971f, -8.72344235e-3f, 0.265178613f, -0.370094994f, 0.158067102f, -0.0348937694f, 4.81918007e-3f,
  -4.60626166e-4f, 3.24603288e-5f, -1.76194691e-6f, 7.60816359e-8f, -2.67925353e-9f
};

ENG_FN float eng_c_j0_near_f32(float y) { return eng_clenshaw_f32(y, eng_t_j0_near_f32, 12); }

// J1(x) / x in x^2, 0 <= x <= 8
__constant float eng_t_j1_near_f32[11] = {
  0.0810448463f, -0.148975145f, 0.160999262f, -0.0826804918f, 0.0222136396f, -3.6469406e-3f, 4.05033773e-4f,
  -3.25555487e-5f, 1.9858774e-6f, -9.52198476e-8f, 3.68713376e-9f
};

ENG_FN float eng_c_j1_near_f32(float y) { return eng_clenshaw_f32(y, eng_t_j1_near_f32, 11); }

// Y0(x) - 2/pi log(x) J0(x) in x^2, 0 < x <= 8
__constant float eng_t_y0_near_f32[12] = {
  -0.0331461132f, -0.274474305f, 0.179034314f, 0.261567346f, -0.177302013f, 0.0471966896f, -7.28796248e-3f,
  7.53113593e-4f, -5.63207914e-5f, 3.20653254e-6f, -1.44072333e-7f, 5.24879479e-9f
};

ENG_FN float eng_c_y0_near_f32(float y) { return eng_clenshaw_f32(y, eng_t_y0_near_f32, 12); }

// (Y1(x) - 2/pi (log(x) J1(x) - 1/x)) / x in x^2, 0 < x <= 8
__constant float eng_t_y1_near_f32[11] = {
  2.53801324e-3f, -0.016087173f, -0.0959120454f, 0.0844519726f, -0.0283281239f, 5.28989754e-3f, -6.41455145e-4f,
  5.50598287e-5f, -3.53808002e-6f, 1.77078046e-7f, -7.11055005e-9f
};

ENG_FN float eng_c_y1_near_f32(float y) { return eng_clenshaw_f32(y, eng_t_y1_near_f32, 11); }

// amplitude of order 0 in (8/x)^2: cosine part
__constant float eng_t_j0_p_f32[4] = {
  0.999460349f, -5.36522047e-4f, 3.07518479e-6f, -5.17059454e-8f
};

ENG_FN float eng_c_j0_p_f32(float y) { return eng_clenshaw_f32(y, eng_t_j0_p_f32, 4); }

// amplitude of order 0 in (8/x)^2: sine part times x/8
__constant float eng_t_j0_q_f32[5] = {
  -0.0155558546f, 6.83851994e-5f, -7.41449841e-7f, 1.79724572e-8f, -7.27191594e-10f
};

ENG_FN float eng_c_j0_q_f32(float y) { return eng_clenshaw_f32(y, eng_t_j0_q_f32, 5); }

// amplitude of order 1 in (8/x)^2: cosine part
__constant float eng_t_j1_p_f32[4] = {
  1.00090304f, 8.98989833e-4f, -3.9872843e-6f, 6.17763396e-8f
};

ENG_FN float eng_c_j1_p_f32(float y) { return eng_clenshaw_f32(y, eng_t_j1_p_f32, 4); }

// amplitude of order 1 in (8/x)^2: sine part times x/8
__constant float eng_t_j1_q_f32[5] = {
  0.0467777871f, -9.62772355e-5f, 9.13861526e-7f, -2.09597814e-8f, 8.22919333e-10f
};

ENG_FN float eng_c_j1_q_f32(float y) { return eng_clenshaw_f32(y, eng_t_j1_q_f32, 5); }

// Ai(x), -2 <= x <= 2
__constant float eng_t_airy_mid_f32[16] = {
  0.263817982f, -0.191767458f, -0.115445879f, 0.101292299f, -0.0206342254f, -5.26346024e-3f, 3.52132734e-3f,
  -5.52212714e-4f, -8.72234696e-5f, 4.99721553e-5f, -6.58209617e-6f, -7.46594098e-7f, 3.8371005e-7f, -4.4277262e-8f,
  -3.90152068e-9f, 1.84438289e-9f
};

ENG_FN float eng_c_airy_mid_f32(float y) { return eng_clenshaw_f32(y, eng_t_airy_mid_f32, 16); }

// 2 sqrt(pi) x^(1/4) e^zeta Ai(x) in zeta(2)/zeta, zeta = 2/3 x^(3/2), x >= 2
__constant float eng_t_airy_far_f32[9] = {
  0.984405305f, -0.0147927848f, 7.32717746e-4f, -6.12595423e-5f, 6.83476698e-6f, -9.23722973e-7f, 1.43622534e-7f,
  -2.48931942e-8f, 4.70979344e-9f
};

ENG_FN float eng_c_airy_far_f32(float y) { return eng_clenshaw_f32(y, eng_t_airy_far_f32, 9); }

// amplitude of Ai(-x) in (zeta(2)/zeta)^2: sine part
__constant float eng_t_airy_p_f32[10] = {
  0.995741071f, -4.01003511e-3f, 2.17497978e-4f, -2.55970737e-5f, 4.44623651e-6f, -9.82156105e-7f, 2.56080326e-7f,
  -7.5482342e-8f, 2.44721348e-8f, -8.56547575e-9f
};

ENG_FN float eng_c_airy_p_f32(float y) { return eng_clenshaw_f32(y, eng_t_airy_p_f32, 10); }

// amplitude of Ai(-x) in (zeta(2)/zeta)^2: cosine part times zeta
__constant float eng_t_airy_q_f32[15] = {
  0.0657009088f, -3.36716505e-3f, 3.13186683e-4f, -4.90947471e-5f, 1.03138532e-5f, -2.62270314e-6f, 7.64283403e-7f,
  -2.46921821e-7f, 8.65432347e-8f, -3.24125925e-8f, 1.28300302e-8f, -5.32326482e-9f, 2.30026319e-9f,
  -1.02994807e-9f, 4.75887068e-10f
};

ENG_FN float eng_c_airy_q_f32(float y) { return eng_clenshaw_f32(y, eng_t_airy_q_f32, 15); }

// log(gamma(2 + z)) / z, |z| <= 1/2
__constant float eng_t_lgamma_2_f32[9] = {
  0.414186125f, 0.163221701f, -8.65897239e-3f, 6.72751573e-4f, -6.13955696e-5f, 6.1100658e-6f, -6.41000303e-7f,
  6.96224269e-8f, -7.74724873e-9f
};

ENG_FN float eng_c_lgamma_2_f32(float y) { return eng_clenshaw_f32(y, eng_t_lgamma_2_f32, 9); }
