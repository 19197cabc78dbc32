/* Hashes and random numbers against published and independently computed values: keys are stored
 * and searches are repeated from seeds, so none of these may ever change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/core.h"

static void check_sha256(const char *text, size_t size, const char *expected) {
  uint8_t digest[32];
  char hex[65] = "";
  neo_sha256(text, size, digest);
  for (int i = 0; i < 32; i++)
    snprintf(hex + 2 * i, 3, "%02x", digest[i]);
  assert_string_equal(hex, expected);
}

/* FIPS 180-4's examples. */
static void test_sha256_vectors(void **state) {
  (void)state;
  check_sha256("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  check_sha256("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const char *long_text = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  check_sha256(long_text, strlen(long_text),
               "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  char *million = malloc(1000000);
  memset(million, 'a', 1000000);
  check_sha256(million, 1000000,
               "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  free(million);
}

/* Every length from 0 to 299, so all paddings; the value is Python's hashlib's. */
static void test_sha256_of_every_length(void **state) {
  (void)state;
  uint8_t digests[300 * 32], data[300] = {0};
  for (size_t n = 0; n < 300; n++) {
    for (size_t i = 0; i < n; i++)
      data[i] = (uint8_t)(i * 7 + n);
    neo_sha256(data, n, digests + 32 * n);
  }
  check_sha256((const char *)digests, sizeof(digests),
               "d5238871a46ac4a1a75ac3fb19d645b0b3b9e5f35f5f720e2b240d605c6b694e");
}

static void test_key_is_first_half_of_sha256(void **state) {
  (void)state;
  char key[33];
  neo_key_text("abc", 3, key);
  assert_string_equal(key, "ba7816bf8f01cfea414140de5dae2223");
}

static void test_crc32_vectors(void **state) {
  (void)state;
  uint8_t all[256];
  for (int i = 0; i < 256; i++)
    all[i] = (uint8_t)i;
  assert_int_equal(neo_crc32(0, "123456789", 9), 0xcbf43926);
  assert_int_equal(neo_crc32(0, all, 256), 0x29058c73);
  assert_int_equal(neo_crc32(neo_crc32(0, all, 100), all + 100, 156), 0x29058c73);
  assert_int_equal(neo_crc32(0, NULL, 0), 0);
}

/* Every length and every start within a step of sixteen, against the definition bit by bit. */
static void test_crc32_in_steps_is_the_crc_of_the_bits(void **state) {
  (void)state;
  uint8_t data[300]; /* many steps of folding too */
  for (int i = 0; i < (int)sizeof data; i++)
    data[i] = (uint8_t)(i * 151 + 7);
  for (size_t start = 0; start < 16; start++)
    for (size_t size = 0; start + size <= sizeof data; size++) {
      uint32_t crc = ~0u;
      for (size_t i = 0; i < size; i++) {
        crc ^= data[start + i];
        for (int bit = 0; bit < 8; bit++)
          crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320u : 0);
      }
      assert_int_equal(neo_crc32(0, data + start, size), ~crc);
    }
}

static void test_hash64_spreads(void **state) {
  (void)state;
  int seen[64] = {0};
  char text[16];
  for (int i = 0; i < 6400; i++) {
    int n = snprintf(text, sizeof(text), "node_%d", i);
    seen[neo_hash64(text, (size_t)n) % 64]++;
  }
  for (int i = 0; i < 64; i++)
    assert_in_range(seen[i], 50, 160);
  assert_true(neo_hash64("a\0b", 3) != neo_hash64("a\0c", 3));
  assert_true(neo_hash64("a", 1) != neo_hash64("a\0", 2));
}

/* From an independent implementation of splitmix64 and xoshiro256**. */
static void test_rng_golden_values(void **state) {
  (void)state;
  static const uint64_t golden[2][4] = {
      {0x99ec5f36cb75f2b4, 0xbf6e1f784956452a, 0x1a5f849d4933e6e0, 0x6aa594f1262d2d2c},
      {0x15780b2e0c2ec716, 0x6104d9866d113a7e, 0xae17533239e499a1, 0xecb8ad4703b360a1}};
  const uint64_t seeds[2] = {0, 42};
  for (int s = 0; s < 2; s++) {
    neo_rng rng;
    neo_rng_init(&rng, seeds[s]);
    for (int i = 0; i < 4; i++)
      assert_true(neo_rng_next(&rng) == golden[s][i]);
  }
}

static void test_rng_below_is_in_range_and_uniform(void **state) {
  (void)state;
  neo_rng rng;
  neo_rng_init(&rng, 7);
  int seen[6] = {0};
  for (int i = 0; i < 6000; i++)
    seen[neo_rng_below(&rng, 6)]++;
  for (int i = 0; i < 6; i++)
    assert_in_range(seen[i], 850, 1150);
  const uint64_t big = (UINT64_MAX / 3) * 2;
  int upper = 0;
  for (int i = 0; i < 3000; i++) {
    uint64_t r = neo_rng_below(&rng, big);
    assert_true(r < big);
    upper += r >= big / 2;
  }
  assert_in_range(upper, 1350, 1650);
  assert_int_equal(neo_rng_below(&rng, 1), 0);
}

static void test_rng_unit_and_normal_moments(void **state) {
  (void)state;
  neo_rng rng;
  neo_rng_init(&rng, 3);
  const int n = 20000;
  double unit = 0, sum = 0, squares = 0;
  for (int i = 0; i < n; i++) {
    double u = neo_rng_unit(&rng), x = neo_rng_normal(&rng);
    assert_true(u >= 0 && u < 1);
    unit += u;
    sum += x;
    squares += x * x;
  }
  assert_true(fabs(unit / n - 0.5) < 0.01);
  assert_true(fabs(sum / n) < 0.03);
  assert_true(fabs(squares / n - 1) < 0.05);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sha256_vectors),
      cmocka_unit_test(test_sha256_of_every_length),
      cmocka_unit_test(test_key_is_first_half_of_sha256),
      cmocka_unit_test(test_crc32_vectors),
      cmocka_unit_test(test_crc32_in_steps_is_the_crc_of_the_bits),
      cmocka_unit_test(test_hash64_spreads),
      cmocka_unit_test(test_rng_golden_values),
      cmocka_unit_test(test_rng_below_is_in_range_and_uniform),
      cmocka_unit_test(test_rng_unit_and_normal_moments),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
