/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes against their published vectors (FIPS 180-4 examples, the SipHash paper, RFC 4648 10, RFC
 * 6455 1.3), and codings against everything that looks like them. */
#include "test_unit.h"

#include "base/hash.h"

#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void assert_hex(const uint8_t *digest, size_t len, const char *wanted)
{
    char text[2 * HF_SHA256_BYTES + 1];
    for (size_t i = 0; i < len; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", digest[i]);
    }
    assert_string_equal(text, wanted);
}

static void assert_sha1(struct hf_slice s, const char *wanted)
{
    uint8_t digest[HF_SHA1_BYTES];
    hf_sha1(s, digest);
    assert_hex(digest, sizeof(digest), wanted);
}

static void assert_sha256(struct hf_slice s, const char *wanted)
{
    uint8_t digest[HF_SHA256_BYTES];
    hf_sha256(s, digest);
    assert_hex(digest, sizeof(digest), wanted);
}

#define TWO_BLOCKS "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"

static void sha1_gives_the_published_digests(void **state)
{
    assert_sha1(hf_slice(NULL, 0), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    assert_sha1(HF_LITERAL("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_sha1(HF_LITERAL(TWO_BLOCKS), "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
}

static void sha256_gives_the_published_digests(void **state)
{
    assert_sha256(hf_slice(NULL, 0),
                  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_sha256(HF_LITERAL("abc"),
                  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_sha256(HF_LITERAL(TWO_BLOCKS),
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void a_million_bytes_hash_as_published(void **state)
{
    uint8_t *bytes = malloc(1000000);
    assert_non_null(bytes);
    memset(bytes, 'a', 1000000);
    assert_sha1(hf_slice(bytes, 1000000), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    assert_sha256(hf_slice(bytes, 1000000),
                  "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(bytes);
}

/* The digests of 0, 1, ... 299 bytes, hashed together; the wanted value is another
 * implementation's. */
static void every_length_around_the_blocks_is_padded_right(void **state)
{
    uint8_t bytes[300];
    static uint8_t sha1s[300 * HF_SHA1_BYTES];
    static uint8_t sha256s[300 * HF_SHA256_BYTES];
    for (size_t i = 0; i < 300; i++) {
        bytes[i] = (uint8_t)i;
        hf_sha1(hf_slice(bytes, i), sha1s + i * HF_SHA1_BYTES);
        hf_sha256(hf_slice(bytes, i), sha256s + i * HF_SHA256_BYTES);
    }
    assert_sha1(hf_slice(sha1s, sizeof(sha1s)), "7261d91c9ffd63ee8e68156d4d57e733d4ad7243");
    assert_sha256(hf_slice(sha256s, sizeof(sha256s)),
                  "df90175783c44235cf6aefd935a2c2747f42399416d16789ece339f1fd26d835");
}

static void siphash_gives_the_published_values(void **state)
{
    static const struct {
        size_t len;
        uint64_t value;
    } vectors[] = {
        {0, UINT64_C(0x726fdb47dd0e0e31)},  {1, UINT64_C(0x74f839c593dc67fd)},
        {7, UINT64_C(0xab0200f58b01d137)},  {8, UINT64_C(0x93f5f5799a932462)},
        {9, UINT64_C(0x9e0082df0ba9e4b0)},  {15, UINT64_C(0xa129ca6149be45e5)},
        {16, UINT64_C(0x3f2acc7f57c29bdb)}, {63, UINT64_C(0x958a324ceb064572)},
    };
    uint8_t key[16];
    uint8_t bytes[64];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)i;
    }
    memcpy(key, bytes, sizeof(key));
    for (size_t i = 0; i < COUNT(vectors); i++) {
        assert_true(hf_siphash(key, hf_slice(bytes, vectors[i].len)) == vectors[i].value);
    }
    assert_true(hf_siphash(key, hf_slice(NULL, 0)) == vectors[0].value);
}

static void base64_gives_the_published_codings_both_ways(void **state)
{
    static const struct {
        const char *plain;
        const char *coded;
    } vectors[] = {{"", ""},
                   {"f", "Zg=="},
                   {"fo", "Zm8="},
                   {"foo", "Zm9v"},
                   {"foob", "Zm9vYg=="},
                   {"fooba", "Zm9vYmE="},
                   {"foobar", "Zm9vYmFy"},
                   {"\xff\xef\xbf\xbe", "/++/vg=="}};
    for (size_t i = 0; i < COUNT(vectors); i++) {
        char text[32];
        uint8_t out[32];
        size_t len = hf_base64_encode(hf_slice_of(vectors[i].plain), text);
        assert_int_equal(len, HF_BASE64_LEN(strlen(vectors[i].plain)));
        assert_slice(hf_slice(text, len), vectors[i].coded);
        assert_true(hf_base64_decode(hf_slice_of(vectors[i].coded), out, &len));
        assert_slice(hf_slice(out, len), vectors[i].plain);
    }
}

static void the_accept_key_of_rfc_6455_comes_out(void **state)
{
    uint8_t digest[HF_SHA1_BYTES];
    char text[HF_BASE64_LEN(HF_SHA1_BYTES)];
    hf_sha1(HF_LITERAL("dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11"), digest);
    assert_int_equal(hf_base64_encode(hf_slice(digest, sizeof(digest)), text), 28);
    assert_slice(hf_slice(text, 28), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void base64_that_is_not_the_one_coding_of_its_bytes_is_refused(void **state)
{
    static const char *const bad[] = {
        "Zg",    "Zg=",      "Z===",        "====",   "Zh==", "Zm9=",
        "Zm9v=", "Zg==Zg==", "Zm 9v",       "Zm9v\n", "Z-9v", "Z_9v",
        "=m9v",  "Zm=v",     "Zm9v!\"\"\"", "=",      "A",    "\xc3\xa9\xc3\xa9"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        uint8_t out[32];
        size_t len = 99;
        assert_false(hf_base64_decode(hf_slice_of(bad[i]), out, &len));
        assert_int_equal(len, 99);
    }
}

static void base64url_takes_its_own_alphabet_without_padding(void **state)
{
    uint8_t out[32];
    size_t len;
    assert_true(hf_base64url_decode(HF_LITERAL("_--_vg"), out, &len));
    assert_slice(hf_slice(out, len), "\xff\xef\xbf\xbe");
    assert_true(hf_base64url_decode(HF_LITERAL("Zm8"), out, &len));
    assert_slice(hf_slice(out, len), "fo");
    assert_true(hf_base64url_decode(HF_LITERAL(""), out, &len));
    assert_int_equal(len, 0);
    static const char *const bad[] = {"Zg==", "Zh", "Zm9", "A", "Zm9vA", "/++/", "Zm 9"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(hf_base64url_decode(hf_slice_of(bad[i]), out, &len));
    }
}

static void base64url_is_written_without_padding_and_read_back(void **state)
{
    char text[HF_BASE64URL_LEN(64)];
    uint8_t bytes[64];
    uint8_t out[sizeof(text)];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(0xff - i * 7);
    }
    assert_slice(hf_slice(text, hf_base64url_encode(HF_LITERAL("\xff\xef\xbf\xbe"), text)),
                 "_--_vg");
    assert_slice(hf_slice(text, hf_base64url_encode(HF_LITERAL("fo"), text)), "Zm8");
    for (size_t n = 0; n <= sizeof(bytes); n++) {
        size_t back;
        size_t len = hf_base64url_encode(hf_slice(bytes, n), text);
        assert_int_equal(len, HF_BASE64URL_LEN(n));
        assert_true(hf_base64url_decode(hf_slice(text, len), out, &back));
        assert_true(hf_slice_eq(hf_slice(out, back), hf_slice(bytes, n)));
    }
}

static void every_byte_comes_back_from_base64(void **state)
{
    uint8_t bytes[256];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 167 + 13);
    }
    for (size_t n = 0; n <= sizeof(bytes); n++) {
        char text[HF_BASE64_LEN(256)];
        uint8_t out[HF_BASE64_LEN(256)];
        size_t len = hf_base64_encode(hf_slice(bytes, n), text);
        assert_true(hf_base64_decode(hf_slice(text, len), out, &len));
        assert_int_equal(len, n);
        assert_memory_equal(out, bytes, n);
    }
}

static void secrets_are_equal_only_when_every_byte_is(void **state)
{
    assert_true(hf_equal_secret(HF_LITERAL("secret"), HF_LITERAL("secret")));
    assert_true(hf_equal_secret(hf_slice(NULL, 0), HF_LITERAL("")));
    assert_false(hf_equal_secret(HF_LITERAL("secret"), HF_LITERAL("secres")));
    assert_false(hf_equal_secret(HF_LITERAL("secret"), HF_LITERAL("tecret")));
    assert_false(hf_equal_secret(HF_LITERAL("secret"), HF_LITERAL("secretx")));
    assert_false(hf_equal_secret(HF_LITERAL("secret"), HF_LITERAL("")));
    assert_false(hf_equal_secret(hf_slice(NULL, 0), HF_LITERAL("x")));
    uint8_t high[1] = {0x80}, low[1] = {0x00};
    assert_false(hf_equal_secret(hf_slice(high, 1), hf_slice(low, 1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha1_gives_the_published_digests),
        cmocka_unit_test(sha256_gives_the_published_digests),
        cmocka_unit_test(a_million_bytes_hash_as_published),
        cmocka_unit_test(every_length_around_the_blocks_is_padded_right),
        cmocka_unit_test(siphash_gives_the_published_values),
        cmocka_unit_test(base64_gives_the_published_codings_both_ways),
        cmocka_unit_test(the_accept_key_of_rfc_6455_comes_out),
        cmocka_unit_test(base64_that_is_not_the_one_coding_of_its_bytes_is_refused),
        cmocka_unit_test(base64url_takes_its_own_alphabet_without_padding),
        cmocka_unit_test(base64url_is_written_without_padding_and_read_back),
        cmocka_unit_test(every_byte_comes_back_from_base64),
        cmocka_unit_test(secrets_are_equal_only_when_every_byte_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
