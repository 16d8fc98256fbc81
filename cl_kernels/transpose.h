// Transposition of VW x VW elements in registers: EACH_ROW(DECLARE), rows loaded into r0.., ROUNDS, rows in r0.. again.

#define ZIP(d0, d1, a, b) d0.even = a.lo, d0.odd = b.lo, d1.even = a.hi, d1.odd = b.hi;
#if VW == 16
#define EACH_ROW(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11) M(12) M(13) M(14) M(15)
#define ROUND(d, s)                                                                                       \
    ZIP(d##0, d##1, s##0, s##8) ZIP(d##2, d##3, s##1, s##9) ZIP(d##4, d##5, s##2, s##10)                  \
    ZIP(d##6, d##7, s##3, s##11) ZIP(d##8, d##9, s##4, s##12) ZIP(d##10, d##11, s##5, s##13)              \
    ZIP(d##12, d##13, s##6, s##14) ZIP(d##14, d##15, s##7, s##15)
#define ROUNDS ROUND(u, r) ROUND(r, u) ROUND(u, r) ROUND(r, u)
#elif VW == 8
#define EACH_ROW(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7)
#define ROUND(d, s)                                                                                       \
    ZIP(d##0, d##1, s##0, s##4) ZIP(d##2, d##3, s##1, s##5) ZIP(d##4, d##5, s##2, s##6)                   \
    ZIP(d##6, d##7, s##3, s##7)
#define ROUNDS ROUND(u, r) ROUND(r, u) ROUND(u, r) EACH_ROW(COPY_BACK)
#else
#define EACH_ROW(M) M(0) M(1) M(2) M(3)
#define ROUND(d, s) ZIP(d##0, d##1, s##0, s##2) ZIP(d##2, d##3, s##1, s##3)
#define ROUNDS ROUND(u, r) ROUND(r, u)
#endif
#define COPY_BACK(i) r##i = u##i;
#define DECLARE(i) VT r##i, u##i;
