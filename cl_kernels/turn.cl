// Square tiles turned in registers, for generated kernels that read along another dimension than they write.
// Four (three) times over, the rows of the upper half are interleaved with those of the lower half: that is a transpose.

#define ENG_LOW16(V, x, y) \
  ((V)((x).s0, (y).s0, (x).s1, (y).s1, (x).s2, (y).s2, (x).s3, (y).s3, (x).s4, (y).s4, (x).s5, (y).s5, (x).s6, (y).s6, \
       (x).s7, (y).s7))
#define ENG_HIGH16(V, x, y) \
  ((V)((x).s8, (y).s8, (x).s9, (y).s9, (x).sa, (y).sa, (x).sb, (y).sb, (x).sc, (y).sc, (x).sd, (y).sd, (x).se, (y).se, \
       (x).sf, (y).sf))

#define ENG_WEAVE16(V, p, q, x, y, a, b) const V q##a = ENG_LOW16(V, p##x, p##y), q##b = ENG_HIGH16(V, p##x, p##y);
#define ENG_INTERLEAVE16(V, p, q)                                                                             \
  ENG_WEAVE16(V, p, q, 0, 8, 0, 1) ENG_WEAVE16(V, p, q, 1, 9, 2, 3) ENG_WEAVE16(V, p, q, 2, a, 4, 5)          \
  ENG_WEAVE16(V, p, q, 3, b, 6, 7) ENG_WEAVE16(V, p, q, 4, c, 8, 9) ENG_WEAVE16(V, p, q, 5, d, a, b)          \
  ENG_WEAVE16(V, p, q, 6, e, c, d) ENG_WEAVE16(V, p, q, 7, f, e, f)

// Column c of 16 rows, ``step`` apart in memory, becomes 16 elements at ``to`` + c * width. V: vector, U: unaligned one.
#define eng_turn16(V, U, to, width, from, step)                                                               \
  {                                                                                                           \
    ENG_ROW(V, U, 0, from, step) ENG_ROW(V, U, 1, from, step) ENG_ROW(V, U, 2, from, step)              \
    ENG_ROW(V, U, 3, from, step) ENG_ROW(V, U, 4, from, step) ENG_ROW(V, U, 5, from, step)              \
    ENG_ROW(V, U, 6, from, step) ENG_ROW(V, U, 7, from, step) ENG_ROW(V, U, 8, from, step)              \
    ENG_ROW(V, U, 9, from, step) ENG_ROW(V, U, a, from, step) ENG_ROW(V, U, b, from, step)              \
    ENG_ROW(V, U, c, from, step) ENG_ROW(V, U, d, from, step) ENG_ROW(V, U, e, from, step)              \
    ENG_ROW(V, U, f, from, step)                                                                            \
    ENG_INTERLEAVE16(V, p, q) ENG_INTERLEAVE16(V, q, r) ENG_INTERLEAVE16(V, r, s) ENG_INTERLEAVE16(V, s, t)   \
    ENG_COLUMN(U, to, width, 0) ENG_COLUMN(U, to, width, 1) ENG_COLUMN(U, to, width, 2)                       \
    ENG_COLUMN(U, to, width, 3) ENG_COLUMN(U, to, width, 4) ENG_COLUMN(U, to, width, 5)                       \
    ENG_COLUMN(U, to, width, 6) ENG_COLUMN(U, to, width, 7) ENG_COLUMN(U, to, width, 8)                       \
    ENG_COLUMN(U, to, width, 9) ENG_COLUMN(U, to, width, a) ENG_COLUMN(U, to, width, b)                       \
    ENG_COLUMN(U, to, width, c) ENG_COLUMN(U, to, width, d) ENG_COLUMN(U, to, width, e)                       \
    ENG_COLUMN(U, to, width, f)                                                                               \
  }
#define ENG_ROW(V, U, k, from, step) const V p##k = *(__global const U*)((from) + 0x##k * (step));
#define ENG_COLUMN(U, to, width, k) *(U*)((to) + 0x##k * (width)) = t##k;

#define ENG_LOW8(V, x, y) ((V)((x).s0, (y).s0, (x).s1, (y).s1, (x).s2, (y).s2, (x).s3, (y).s3))
#define ENG_HIGH8(V, x, y) ((V)((x).s4, (y).s4, (x).s5, (y).s5, (x).s6, (y).s6, (x).s7, (y).s7))

#define ENG_WEAVE8(V, p, q, x, y, a, b) const V q##a = ENG_LOW8(V, p##x, p##y), q##b = ENG_HIGH8(V, p##x, p##y);
#define ENG_INTERLEAVE8(V, p, q)                                    \
  ENG_WEAVE8(V, p, q, 0, 4, 0, 1) ENG_WEAVE8(V, p, q, 1, 5, 2, 3)   \
  ENG_WEAVE8(V, p, q, 2, 6, 4, 5) ENG_WEAVE8(V, p, q, 3, 7, 6, 7)

#define eng_turn8(V, U, to, width, from, step)                                                                \
  {                                                                                                           \
    ENG_ROW(V, U, 0, from, step) ENG_ROW(V, U, 1, from, step) ENG_ROW(V, U, 2, from, step)              \
    ENG_ROW(V, U, 3, from, step) ENG_ROW(V, U, 4, from, step) ENG_ROW(V, U, 5, from, step)              \
    ENG_ROW(V, U, 6, from, step) ENG_ROW(V, U, 7, from, step)                                             \
    ENG_INTERLEAVE8(V, p, q) ENG_INTERLEAVE8(V, q, r) ENG_INTERLEAVE8(V, r, t)                                \
    ENG_COLUMN(U, to, width, 0) ENG_COLUMN(U, to, width, 1) ENG_COLUMN(U, to, width, 2)                       \
    ENG_COLUMN(U, to, width, 3) ENG_COLUMN(U, to, width, 4) ENG_COLUMN(U, to, width, 5)                       \
    ENG_COLUMN(U, to, width, 6) ENG_COLUMN(U, to, width, 7)                                                   \
  }
