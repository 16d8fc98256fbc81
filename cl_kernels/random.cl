// Random numbers: Philox 4x32-10 (Salmon et al. 2011). Position i of a draw has a word, two words or a normal number.
// Counters come in tiles of 16, and a tile's first words stand before its second ones: neighbours in a vector are then
// neighbours in the result. A position's number is the same whether it is made alone or with its tile.

#define ENG_PHILOX_ROUND                                                                                     \
  p0 = (c0 & 0xffffffffUL) * 0xD2511F53UL, p1 = (c2 & 0xffffffffUL) * 0xCD9E8D57UL;                           \
  c0 = (p1 >> 32) ^ c1 ^ k0, c2 = (p0 >> 32) ^ c3 ^ k1, c1 = p1, c3 = p0, k0 += 0x9E3779B9UL, k1 += 0xBB67AE85UL;

// The words c0 .. c3 of a counter are the low halves: what is above them does not matter to the next round.
#define ENG_PHILOX(counter, seed)                                                                            \
  ulong c0 = (counter), c1 = c0 >> 32, c2 = 0, c3 = 0, k0 = (seed), k1 = k0 >> 32, p0, p1;                    \
  ENG_PHILOX_ROUND ENG_PHILOX_ROUND ENG_PHILOX_ROUND ENG_PHILOX_ROUND ENG_PHILOX_ROUND                       \
  ENG_PHILOX_ROUND ENG_PHILOX_ROUND ENG_PHILOX_ROUND ENG_PHILOX_ROUND ENG_PHILOX_ROUND

ENG_FN uint eng_philox(ulong i, ulong seed, ulong offset) {
  ENG_PHILOX(offset + (i >> 6) * 16 + (i & 15), seed)
  const uint low = (i & 16) ? (uint)c1 : (uint)c0, high = (i & 16) ? (uint)c3 : (uint)c2;
  return (i & 32) ? high : low;
}

ENG_FN void eng_philox_tiles(uint* to, ulong i, long count, ulong seed, ulong offset) {
  for (long at = 0; at < count; at += 64) {
    const ulong first = offset + ((i + at) >> 6) * 16;
#pragma clang loop vectorize(assume_safety) vectorize_width(8) interleave_count(2)
    for (int l = 0; l < 16; l++) {
      ENG_PHILOX(first + l, seed)
      to[at + l] = (uint)c0;
      to[at + 16 + l] = (uint)c1;
      to[at + 32 + l] = (uint)c2;
      to[at + 48 + l] = (uint)c3;
    }
  }
}

ENG_FN ulong eng_philox64(ulong i, ulong seed, ulong offset) {
  ENG_PHILOX(offset + (i >> 5) * 16 + (i & 15), seed)
  return (i & 16) ? (c3 << 32) | (c2 & 0xffffffffUL) : (c1 << 32) | (c0 & 0xffffffffUL);
}

ENG_FN void eng_philox64_tiles(ulong* to, ulong i, long count, ulong seed, ulong offset) {
  for (long at = 0; at < count; at += 32) {
    const ulong first = offset + ((i + at) >> 5) * 16;
#pragma clang loop vectorize(assume_safety) vectorize_width(8) interleave_count(2)
    for (int l = 0; l < 16; l++) {
      ENG_PHILOX(first + l, seed)
      to[at + l] = (c1 << 32) | (c0 & 0xffffffffUL);
      to[at + 16 + l] = (c3 << 32) | (c2 & 0xffffffffUL);
    }
  }
}

// Box and Muller 1958: two normal numbers from a word for the radius and one for the angle, whose upper two bits are the
// quarter of the circle.
#define ENG_NORMAL_POLAR(a, b)                                                                               \
  const float radius = eng_sqrt_f32(-2.0f * eng_log_f32(((float)(a) + 0.5f) * 0x1p-32f));                    \
  const uint quarter = ((b) + 0x20000000u) >> 30;                                                            \
  const float turn = (float)(int)((b) << 2) * 0x1.921fb6p-32f, square = turn * turn;                         \
  const float s = eng_sin_poly_f32(turn, square), c = eng_cos_poly_f32(square);                              \
  const float x = (quarter & 1) ? s : c, y = (quarter & 1) ? c : s;

ENG_FN float eng_normal(ulong i, ulong seed, ulong offset) {
  ENG_PHILOX(offset + (i >> 6) * 16 + (i & 15), seed)
  const uint a = (i & 32) ? (uint)c2 : (uint)c0, b = (i & 32) ? (uint)c3 : (uint)c1;
  ENG_NORMAL_POLAR(a, b)
  return (i & 16) ? radius * ((quarter & 2) ? -y : y) : radius * (((quarter + 1) & 2) ? -x : x);
}

ENG_FN void eng_normal_tiles(float* to, ulong i, long count, ulong seed, ulong offset) {
  uint words[64];
  for (long at = 0; at < count; at += 64) {
    eng_philox_tiles(words, i + at, 64, seed, offset);
    for (int k = 0; k < 64; k += 32) {
#pragma clang loop vectorize(assume_safety) vectorize_width(16)
      for (int l = 0; l < 16; l++) {
        const uint a = words[k + l], b = words[k + 16 + l];
        ENG_NORMAL_POLAR(a, b)
        to[at + k + l] = radius * (((quarter + 1) & 2) ? -x : x);
        to[at + k + 16 + l] = radius * ((quarter & 2) ? -y : y);
      }
    }
  }
}
