// Repeats a macro over a register tile of MR rows (4, 6, 8 or 12) and NV vectors (1 to 4): ROWS(X) gives X(0) X(1) ...,
// COLS(X, i) gives X(i, 0) X(i, 1) ...; ACC(i, j) is the accumulator of row i and vector j.
#if MR == 12
#define ROWS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#elif MR == 8
#define ROWS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#elif MR == 6
#define ROWS(X) X(0) X(1) X(2) X(3) X(4) X(5)
#elif MR == 4
#define ROWS(X) X(0) X(1) X(2) X(3)
#endif
#if NV == 1
#define COLS(X, i) X(i, 0)
#elif NV == 2
#define COLS(X, i) X(i, 0) X(i, 1)
#elif NV == 3
#define COLS(X, i) X(i, 0) X(i, 1) X(i, 2)
#elif NV == 4
#define COLS(X, i) X(i, 0) X(i, 1) X(i, 2) X(i, 3)
#endif
#define ACC(i, j) acc##i##_##j
