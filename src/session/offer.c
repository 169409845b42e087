/* SPDX-License-Identifier: Apache-2.0 */
/* Offers of hf1 among subprotocols, and the tokens and keys that sessions are found by. */
#include "session/offer.h"

#include "session/control.h"

#define OPEN_SECRET_MIN 16    /* decoded bytes: 128 bits */
#define TOKEN_CHARS_MAX 256   /* of a token that some gateway may have made */
#define NUMBERS_OF_A_RESUME 3 /* epoch, S, attempt */

static void refuse(struct hf_offer *offer, const char *why)
{
    if (offer->kind != HF_OFFER_BAD) {
        offer->kind = HF_OFFER_BAD;
        offer->why = why;
    }
}

static bool is_base64url(struct hf_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t c = text.ptr[i];
        const uint8_t letter = c | 0x20;
        if (!(letter >= 'a' && letter <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_') {
            return false;
        }
    }
    return text.len > 0;
}

/* hf1.o.<secret> */
static bool read_open(struct hf_offer *offer, struct hf_slice secret)
{
    uint8_t bytes[HF_BASE64URL_LEN(HF_OPEN_SECRET_MAX)];
    size_t len;
    if (secret.len > sizeof(bytes) || !hf_base64url_decode(secret, bytes, &len) ||
        len < OPEN_SECRET_MIN || len > HF_OPEN_SECRET_MAX) {
        return false;
    }
    memcpy(offer->open_secret, bytes, len);
    offer->open_secret_len = (uint8_t)len;
    return true;
}

/* hf1.r.<token>.<epoch>.<S>.<attempt> */
static bool read_resume(struct hf_offer *offer, struct hf_slice rest)
{
    uint64_t numbers[NUMBERS_OF_A_RESUME];
    const size_t len = hf_slice_find(rest, '.');
    const struct hf_slice token = hf_slice_first(rest, len);
    rest = hf_slice_from(rest, len + 1);
    if (!is_base64url(token) || token.len > TOKEN_CHARS_MAX) {
        return false;
    }
    for (size_t i = 0; i < NUMBERS_OF_A_RESUME; i++) {
        const size_t digits = hf_slice_find(rest, '.');
        const bool last = i == NUMBERS_OF_A_RESUME - 1;
        if ((digits == rest.len) != last ||
            !hf_slice_number(hf_slice_first(rest, digits), HF_COUNT_MAX - 1, &numbers[i])) {
            return false;
        }
        rest = hf_slice_from(rest, digits + 1);
    }
    offer->token = token;
    offer->epoch = numbers[0];
    offer->received = numbers[1];
    offer->attempt = numbers[2];
    return offer->attempt > 0;
}

bool hf_offer_member(struct hf_offer *offer, struct hf_slice member)
{
    if (hf_slice_eq(member, HF_LITERAL("hf1"))) {
        if (offer->bare) {
            refuse(offer, "hf1 is offered twice");
        }
        offer->bare = true;
        offer->kind = offer->kind == HF_OFFER_NONE ? HF_OFFER_BARE : offer->kind;
        return true;
    }
    if (!hf_slice_starts(member, HF_LITERAL("hf1."))) {
        return false;
    }
    const bool open = hf_slice_starts(member, HF_LITERAL("hf1.o."));
    if (!open && !hf_slice_starts(member, HF_LITERAL("hf1.r."))) {
        return true;
    }
    const struct hf_slice rest = hf_slice_from(member, sizeof("hf1.o.") - 1);
    if (offer->kind == HF_OFFER_OPEN || offer->kind == HF_OFFER_RESUME) {
        refuse(offer, "more than one of hf1.o and hf1.r is offered");
    } else if (!(open ? read_open(offer, rest) : read_resume(offer, rest))) {
        refuse(offer, open ? "hf1.o has no secret of 16 to 32 bytes in base64url"
                           : "hf1.r is not hf1.r.<token>.<epoch>.<received>.<attempt>");
    } else if (offer->kind != HF_OFFER_BAD) {
        offer->kind = open ? HF_OFFER_OPEN : HF_OFFER_RESUME;
    }
    return true;
}

void hf_offer_finish(struct hf_offer *offer)
{
    if (!offer->bare && (offer->kind == HF_OFFER_OPEN || offer->kind == HF_OFFER_RESUME)) {
        refuse(offer, "hf1.o or hf1.r is offered without hf1");
    }
}

void hf_offer_write_resume(struct hf_buffer *out, struct hf_slice token, uint64_t epoch,
                           uint64_t received, uint64_t attempt)
{
    const uint64_t numbers[NUMBERS_OF_A_RESUME] = {epoch, received, attempt};
    (void)hf_buffer_add_text(out, "hf1.r.");
    (void)hf_buffer_add(out, token);
    for (size_t i = 0; i < NUMBERS_OF_A_RESUME; i++) {
        (void)hf_buffer_add_byte(out, '.');
        (void)hf_buffer_add_number(out, (int64_t)numbers[i]);
    }
}

void hf_offer_write_open(struct hf_buffer *out, struct hf_slice secret)
{
    char text[HF_BASE64URL_LEN(HF_OPEN_SECRET_MAX)];
    HF_ASSERT(secret.len >= OPEN_SECRET_MIN && secret.len <= HF_OPEN_SECRET_MAX);
    (void)hf_buffer_add_text(out, "hf1.o.");
    (void)hf_buffer_add(out, hf_slice(text, hf_base64url_encode(secret, text)));
}

/* ---- tokens and keys --------------------------------------------------------------------------
 */

enum { VERSION_TOKEN = 1, VERSION_KEY = 2 };

static uint64_t load(const uint8_t **at, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        value = value << 8 | *(*at)++;
    }
    return value;
}

static void store(uint8_t **at, size_t bytes, uint64_t value)
{
    for (size_t i = 0; i < bytes; i++) {
        *(*at)++ = (uint8_t)(value >> 8 * (bytes - 1 - i));
    }
}

/* The layout once for both: version 1 has a generation, version 2 has none. */
static bool read_version(struct hf_slice text, uint8_t version, struct hf_token *token)
{
    uint8_t bytes[HF_TOKEN_CHARS];
    const uint8_t *at = bytes;
    size_t len;
    const size_t chars = version == VERSION_TOKEN ? HF_TOKEN_CHARS : HF_KEY_CHARS;
    if (text.len != chars || !hf_base64url_decode(text, bytes, &len) || load(&at, 1) != version) {
        return false;
    }
    token->node = (uint16_t)load(&at, 2);
    token->boot = (uint32_t)load(&at, 4);
    token->worker = (uint8_t)load(&at, 1);
    token->id = load(&at, 8);
    token->generation = version == VERSION_TOKEN ? (uint32_t)load(&at, 4) : 0;
    memcpy(token->secret, at, HF_TOKEN_SECRET);
    return true;
}

static void write_version(const struct hf_token *token, uint8_t version, char *text)
{
    uint8_t bytes[HF_TOKEN_BYTES];
    uint8_t *at = bytes;
    store(&at, 1, version);
    store(&at, 2, token->node);
    store(&at, 4, token->boot);
    store(&at, 1, token->worker);
    store(&at, 8, token->id);
    if (version == VERSION_TOKEN) {
        store(&at, 4, token->generation);
    }
    memcpy(at, token->secret, HF_TOKEN_SECRET);
    (void)hf_base64url_encode(hf_slice(bytes, (size_t)(at - bytes) + HF_TOKEN_SECRET), text);
}

bool hf_token_read(struct hf_slice text, struct hf_token *token)
{
    return read_version(text, VERSION_TOKEN, token);
}

void hf_token_write(const struct hf_token *token, char text[HF_TOKEN_CHARS])
{
    write_version(token, VERSION_TOKEN, text);
}

bool hf_key_read(struct hf_slice text, struct hf_token *key)
{
    return read_version(text, VERSION_KEY, key);
}

void hf_key_write(const struct hf_token *key, char text[HF_KEY_CHARS])
{
    write_version(key, VERSION_KEY, text);
}
