// Winograd F(4x4, 3x3) at the points 0, +-1/sqrt(2), +-sqrt(2) and infinity: the input's transform.
#define ROOT 1.41421356237309505f
#define HALF_ROOT 0.70710678118654752f

// o = B^T d for six vectors.
#define B_ROWS(o, d)                                               \
    {                                                              \
        const VT ba = d##4 - 2.0f * d##2, bb = HALF_ROOT * d##3 - ROOT * d##1; \
        const VT bc = d##4 - 0.5f * d##2, be = ROOT * d##3 - HALF_ROOT * d##1; \
        o##0 = d##0 - 2.5f * d##2 + d##4;                          \
        o##1 = ba + bb;                                            \
        o##2 = ba - bb;                                            \
        o##3 = bc + be;                                            \
        o##4 = bc - be;                                            \
        o##5 = d##1 - 2.5f * d##3 + d##5;                          \
    }
