/* CRC-32 of IEEE 802.3 (reflected polynomial 0xedb88320), sixteen bytes a step.
 *
 * Why: compiled.params is checked at every load; a byte at a time costs a second per 400 MB.
 *
 * How: slicing (Kounavis and Berry, "Novel table lookup-based algorithms for high-performance CRC
 * generation"): table[k][b] is the remainder of byte b with k zero bytes behind it, so the sixteen
 * lookups of a step do not wait for each other. The tables are linear over bits, thus eight
 * remainders write each one down, and there is no state to initialise: safe from any thread and in
 * the static agent. Test vectors hold them.
 *
 * With carry-less multiplication (Gopal et al., "Fast CRC computation for generic polynomials using
 * PCLMULQDQ instruction"): 64 bytes are folded onto the next 64 by multiplying with powers of x, so
 * that what is left at the end are 16 bytes with the same remainder, for which the tables do. */
#include "base/core.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { SLICES = 16 };

#define BIT(i, b, word) (((i) >> (b)) & 1 ? (word) : 0u)
#define WORD(i, w0, w1, w2, w3, w4, w5, w6, w7)                                                    \
  BIT(i, 0, w0) ^ BIT(i, 1, w1) ^ BIT(i, 2, w2) ^ BIT(i, 3, w3) ^ BIT(i, 4, w4) ^ BIT(i, 5, w5) ^  \
      BIT(i, 6, w6) ^ BIT(i, 7, w7)
#define WORDS4(i, ...)                                                                             \
  WORD(i, __VA_ARGS__), WORD((i) + 1, __VA_ARGS__), WORD((i) + 2, __VA_ARGS__),                    \
      WORD((i) + 3, __VA_ARGS__)
#define WORDS16(i, ...)                                                                            \
  WORDS4(i, __VA_ARGS__), WORDS4((i) + 4, __VA_ARGS__), WORDS4((i) + 8, __VA_ARGS__),              \
      WORDS4((i) + 12, __VA_ARGS__)
#define WORDS64(i, ...)                                                                            \
  WORDS16(i, __VA_ARGS__), WORDS16((i) + 16, __VA_ARGS__), WORDS16((i) + 32, __VA_ARGS__),         \
      WORDS16((i) + 48, __VA_ARGS__)
#define SLICE(...)                                                                                 \
  {                                                                                                \
    WORDS64(0, __VA_ARGS__), WORDS64(64, __VA_ARGS__), WORDS64(128, __VA_ARGS__),                  \
        WORDS64(192, __VA_ARGS__)                                                                  \
  }

/* Of the bytes 1, 2, 4, ... 128. */
static const uint32_t table[SLICES][256] = {
    SLICE(0x77073096, 0xee0e612c, 0x076dc419, 0x0edb8832, 0x1db71064, 0x3b6e20c8, 0x76dc4190,
          0xedb88320),
    SLICE(0x191b3141, 0x32366282, 0x646cc504, 0xc8d98a08, 0x4ac21251, 0x958424a2, 0xf0794f05,
          0x3b83984b),
    SLICE(0x01c26a37, 0x0384d46e, 0x0709a8dc, 0x0e1351b8, 0x1c26a370, 0x384d46e0, 0x709a8dc0,
          0xe1351b80),
    SLICE(0xb8bc6765, 0xaa09c88b, 0x8f629757, 0xc5b428ef, 0x5019579f, 0xa032af3e, 0x9b14583d,
          0xed59b63b),
    SLICE(0x3d6029b0, 0x7ac05360, 0xf580a6c0, 0x30704bc1, 0x60e09782, 0xc1c12f04, 0x58f35849,
          0xb1e6b092),
    SLICE(0xcb5cd3a5, 0x4dc8a10b, 0x9b914216, 0xec53826d, 0x03d6029b, 0x07ac0536, 0x0f580a6c,
          0x1eb014d8),
    SLICE(0xa6770bb4, 0x979f1129, 0xf44f2413, 0x33ef4e67, 0x67de9cce, 0xcfbd399c, 0x440b7579,
          0x8816eaf2),
    SLICE(0xccaa009e, 0x4225077d, 0x844a0efa, 0xd3e51bb5, 0x7cbb312b, 0xf9766256, 0x299dc2ed,
          0x533b85da),
    SLICE(0x177b1443, 0x2ef62886, 0x5dec510c, 0xbbd8a218, 0xacc04271, 0x82f182a3, 0xde920307,
          0x6655004f),
    SLICE(0xefc26b3e, 0x04f5d03d, 0x09eba07a, 0x13d740f4, 0x27ae81e8, 0x4f5d03d0, 0x9eba07a0,
          0xe6050901),
    SLICE(0xc18edfc0, 0x586cb9c1, 0xb0d97382, 0xbac3e145, 0xaef6c4cb, 0x869c8fd7, 0xd64819ef,
          0x77e1359f),
    SLICE(0x9ba54c6f, 0xec3b9e9f, 0x03063b7f, 0x060c76fe, 0x0c18edfc, 0x1831dbf8, 0x3063b7f0,
          0x60c76fe0),
    SLICE(0xdd96d985, 0x605cb54b, 0xc0b96a96, 0x5a03d36d, 0xb407a6da, 0xb37e4bf5, 0xbd8d91ab,
          0xa06a2517),
    SLICE(0x9d0fe176, 0xe16ec4ad, 0x19ac8f1b, 0x33591e36, 0x66b23c6c, 0xcd6478d8, 0x41b9f7f1,
          0x8373efe2),
    SLICE(0xb9fbdbe8, 0xa886b191, 0x8a7c6563, 0xcf89cc87, 0x44629f4f, 0x88c53e9e, 0xcafb7b7d,
          0x4e87f0bb),
    SLICE(0xae689191, 0x87a02563, 0xd4314c87, 0x73139f4f, 0xe6273e9e, 0x173f7b7d, 0x2e7ef6fa,
          0x5cfdedf4),
};

static uint32_t slice16(uint32_t crc, const uint8_t *at) {
  uint32_t next = 0;
  for (int i = 0; i < 4; i++)
    next ^= table[SLICES - 1 - i][(at[i] ^ (crc >> (8 * i))) & 0xff];
  for (int i = 4; i < SLICES; i++)
    next ^= table[SLICES - 1 - i][at[i]];
  return next;
}

static uint32_t by_tables(uint32_t crc, const uint8_t *at, size_t size) {
  for (; size >= SLICES; at += SLICES, size -= SLICES)
    crc = slice16(crc, at);
  for (; size > 0; at++, size--)
    crc = (crc >> 8) ^ table[0][(crc ^ *at) & 0xff];
  return crc;
}

#if defined(__x86_64__)

enum { LEAST_FOLDED = 128 };

/* The 16 bytes of x moved ahead, onto those of next. */
__attribute__((target("pclmul,sse4.1"))) static __m128i fold(__m128i x, __m128i powers,
                                                             __m128i next) {
  __m128i low = _mm_clmulepi64_si128(x, powers, 0x00);
  __m128i high = _mm_clmulepi64_si128(x, powers, 0x11);
  return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

/* Takes all blocks of 16 bytes; size >= 64. */
__attribute__((target("pclmul,sse4.1"))) static uint32_t by_folding(uint32_t crc, const uint8_t *at,
                                                                    size_t size) {
  const __m128i by_64 = _mm_set_epi64x(0x01c6e41596, 0x0154442bd4);
  const __m128i by_16 = _mm_set_epi64x(0x00ccaa009e, 0x01751997d0);
  __m128i x[4];
  uint8_t rest[16];
  for (int i = 0; i < 4; i++)
    x[i] = _mm_loadu_si128((const __m128i *)(at + 16 * i));
  x[0] = _mm_xor_si128(x[0], _mm_cvtsi32_si128((int)crc));
  for (at += 64, size -= 64; size >= 64; at += 64, size -= 64)
    for (int i = 0; i < 4; i++)
      x[i] = fold(x[i], by_64, _mm_loadu_si128((const __m128i *)(at + 16 * i)));
  for (int i = 1; i < 4; i++)
    x[0] = fold(x[0], by_16, x[i]);
  for (; size >= 16; at += 16, size -= 16)
    x[0] = fold(x[0], by_16, _mm_loadu_si128((const __m128i *)at));
  _mm_storeu_si128((__m128i *)rest, x[0]);
  return by_tables(0, rest, sizeof rest);
}

static uint32_t all_blocks(uint32_t crc, const uint8_t *at, size_t size) {
  if (size >= LEAST_FOLDED && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1"))
    return by_folding(crc, at, size);
  return by_tables(crc, at, size);
}

#else

static uint32_t all_blocks(uint32_t crc, const uint8_t *at, size_t size) {
  return by_tables(crc, at, size);
}

#endif

uint32_t neo_crc32(uint32_t crc, const void *data, size_t size) {
  const uint8_t *at = data;
  size_t blocks = size / 16 * 16;
  crc = all_blocks(~crc, at, blocks);
  return ~by_tables(crc, at + blocks, size - blocks);
}
