/* Hashes: SHA-256 (FIPS 180-4) for keys, a fast 64-bit hash for tables in memory.
 *
 * Why: a workload's key is stored, sent and compared between hosts, so it comes from a standard
 * with published test vectors; the table hash is never stored and may change at any time. */
#include "base/core.h"

#include <stdatomic.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate_right(uint32_t x, int k) {
  return (x >> k) | (x << (32 - k));
}

static void expand_block(const uint8_t block[64], uint32_t w[64]) {
  for (int i = 0; i < 16; i++)
    w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
           (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
  for (int i = 16; i < 64; i++) {
    uint32_t a = rotate_right(w[i - 15], 7) ^ rotate_right(w[i - 15], 18) ^ (w[i - 15] >> 3);
    uint32_t b = rotate_right(w[i - 2], 17) ^ rotate_right(w[i - 2], 19) ^ (w[i - 2] >> 10);
    w[i] = w[i - 16] + a + w[i - 7] + b;
  }
}

static void compress_block(uint32_t state[8], const uint8_t block[64]) {
  uint32_t words[64];
  expand_block(block, words);
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5],
           g = state[6], h = state[7];
  for (int i = 0; i < 64; i++) {
    uint32_t s1 = rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25);
    uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + round_constants[i] + words[i];
    uint32_t s0 = rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22);
    uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + t1;
    d = c, c = b, b = a, a = t1 + t2;
  }
  const uint32_t now[8] = {a, b, c, d, e, f, g, h};
  for (int i = 0; i < 8; i++)
    state[i] += now[i];
}

static void compress_plain(uint32_t state[8], const uint8_t *data, size_t blocks) {
  for (; blocks > 0; blocks--, data += 64)
    compress_block(state, data);
}

#if defined(__x86_64__)

static bool has_sha_instructions(void) {
  static atomic_int known; /* 0: not asked yet, 1 no, 2 yes */
  uint32_t a, b, c, d;
  if (atomic_load_explicit(&known, memory_order_relaxed) == 0) {
    bool sse41 = __get_cpuid(1, &a, &b, &c, &d) && (c & 1u << 19);
    bool sha = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & 1u << 29);
    atomic_store_explicit(&known, sse41 && sha ? 2 : 1, memory_order_relaxed);
  }
  return atomic_load_explicit(&known, memory_order_relaxed) == 2;
}

/* Intel SHA extensions ("Intel 64 and IA-32 Architectures SDM", volume 1, chapter on SHA): the
 * state is kept as (a b e f) and (c d g h); an instruction does two rounds, message words come in
 * fours. */
__attribute__((target("sha,sse4.1"))) static void compress_sha(uint32_t state[8],
                                                               const uint8_t *data, size_t blocks) {
  const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  __m128i dcba = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xb1);
  __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1b);
  __m128i abef = _mm_alignr_epi8(dcba, hgfe, 8), cdgh = _mm_blend_epi16(hgfe, dcba, 0xf0);
  for (; blocks > 0; blocks--, data += 64) {
    __m128i w[16], abef_before = abef, cdgh_before = cdgh;
    for (int i = 0; i < 16; i++) {
      if (i < 4)
        w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data + 16 * i)), swap);
      else
        w[i] = _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(w[i - 4], w[i - 3]),
                                                  _mm_alignr_epi8(w[i - 1], w[i - 2], 4)),
                                    w[i - 1]);
      __m128i k = _mm_loadu_si128((const __m128i *)(round_constants + 4 * i));
      __m128i sum = _mm_add_epi32(w[i], k);
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
    }
    abef = _mm_add_epi32(abef, abef_before);
    cdgh = _mm_add_epi32(cdgh, cdgh_before);
  }
  __m128i feba = _mm_shuffle_epi32(abef, 0x1b), dchg = _mm_shuffle_epi32(cdgh, 0xb1);
  _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xf0));
  _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

static void compress(uint32_t state[8], const uint8_t *data, size_t blocks) {
  (has_sha_instructions() ? compress_sha : compress_plain)(state, data, blocks);
}

#else

static void compress(uint32_t state[8], const uint8_t *data, size_t blocks) {
  compress_plain(state, data, blocks);
}

#endif

void neo_sha256(const void *data, size_t size, uint8_t out[32]) {
  uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  const uint8_t *bytes = data;
  size_t left = size % 64;
  compress(state, bytes, size / 64);
  uint8_t tail[128] = {0};
  if (left)
    memcpy(tail, bytes + size - left, left);
  tail[left] = 0x80;
  size_t tail_size = left < 56 ? 64 : 128;
  uint64_t bits = (uint64_t)size * 8;
  for (size_t i = 0; i < 8; i++)
    tail[tail_size - 1 - i] = (uint8_t)(bits >> (8 * i));
  compress(state, tail, tail_size / 64);
  for (int i = 0; i < 32; i++)
    out[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
}

void neo_key_text(const void *data, size_t size, char out[33]) {
  static const char digits[] = "0123456789abcdef";
  uint8_t digest[32];
  neo_sha256(data, size, digest);
  for (int i = 0; i < 16; i++) {
    out[2 * i] = digits[digest[i] >> 4];
    out[2 * i + 1] = digits[digest[i] & 15];
  }
  out[32] = '\0';
}

/* The finaliser of splitmix64: every input bit reaches every output bit. */
static uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

uint64_t neo_hash64(const void *data, size_t size) {
  const uint8_t *bytes = data;
  uint64_t hash = mix(size + 0x9e3779b97f4a7c15u);
  for (; size >= 8; size -= 8, bytes += 8) {
    uint64_t word;
    memcpy(&word, bytes, 8);
    hash = mix(hash ^ word) + 0x9e3779b97f4a7c15u;
  }
  uint64_t word = 0;
  if (size)
    memcpy(&word, bytes, size);
  return mix(hash ^ word);
}
