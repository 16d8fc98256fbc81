// Random bits: Philox 4x32-10 (Salmon et al. 2011), one 64-bit result a counter.

ENG_FN ulong eng_philox(ulong counter, ulong seed, ulong offset) {
  const ulong block = (counter >> 1) + offset;
  uint c0 = (uint)block, c1 = (uint)(block >> 32), c2 = 0, c3 = 0;
  uint k0 = (uint)seed, k1 = (uint)(seed >> 32);
  for (int round = 0; round < 10; round++) {
    const ulong p0 = (ulong)0xD2511F53u * c0, p1 = (ulong)0xCD9E8D57u * c2;
    const uint n0 = (uint)(p1 >> 32) ^ c1 ^ k0, n2 = (uint)(p0 >> 32) ^ c3 ^ k1;
    c1 = (uint)p1;
    c3 = (uint)p0;
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return (counter & 1) ? ((ulong)c3 << 32 | c2) : ((ulong)c1 << 32 | c0);
}
