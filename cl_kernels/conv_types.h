// Types of the direct convolution's kernels. Options: VW lanes, CT_DOUBLE, T_F16 / T_BF16 (stored type).

#ifdef CT_DOUBLE
#define USE_FP64
typedef double CT;
typedef long IT;
#define CT_NAME double
#define IT_NAME long
#else
typedef float CT;
typedef int IT;
#define CT_NAME float
#define IT_NAME int
#endif
#if defined(T_F16)
typedef half ST;
#elif defined(T_BF16)
typedef ushort ST;
#else
typedef CT ST;
#endif
#include "stored.h"

#define GLUE2(a, b) a##b
#define GLUE(a, b) GLUE2(a, b)
typedef GLUE(CT_NAME, VW) VT;
typedef GLUE(IT_NAME, VW) IV;
typedef GLUE(GLUE(u, IT_NAME), VW) UV;
typedef VT VU __attribute__((aligned(sizeof(CT))));
