/* SPDX-License-Identifier: Apache-2.0 */
/* Sec-WebSocket-Extensions and the negotiation of permessage-deflate.
 *
 *   extension-list  = 1#extension                              RFC 6455 9.1
 *   extension       = token *( ";" param )
 *   param           = token [ "=" ( token | quoted-string ) ]   what is quoted is a token too
 *
 * with spaces and tabs allowed between words (RFC 2616 2.1, implied *LWS). */
#include "ws/extension.h"

#define NAME HF_LITERAL("permessage-deflate")
#define HEADER "Sec-WebSocket-Extensions"
#define BITS_DEFAULT 15
#define VALUE_MAX                                                                                  \
    8 /* characters of a parameter's value that matter: window bits have at most 2                 \
       */

/* One permessage-deflate element: an offer or an answer. bits are 0 when the parameter is absent.
 */
struct params {
    bool server_no_context_takeover;
    bool client_no_context_takeover;
    bool client_bits_named; /* client_max_window_bits is there, with or without a value */
    uint8_t server_bits;
    uint8_t client_bits;
};

enum reading {
    READ_DEFLATE,   /* *params is filled */
    READ_OTHER,     /* another extension */
    READ_MALFORMED, /* permessage-deflate, but unknown, repeated or bad parameters: RFC 7692 7.1 */
    READ_SYNTAX,    /* not an extension by the grammar */
};

static bool is_token_byte(uint8_t c)
{
    return c > ' ' && c <= '~' && strchr("()<>@,;:\\\"/[]?={}", c) == NULL;
}

static void skip_space(struct hf_slice *rest)
{
    while (rest->len > 0 && (rest->ptr[0] == ' ' || rest->ptr[0] == '\t')) {
        *rest = hf_slice_from(*rest, 1);
    }
}

/* Takes a token and the space behind it off *rest; false when there is none. */
static bool take_token(struct hf_slice *rest, struct hf_slice *token)
{
    size_t len = 0;
    while (len < rest->len && is_token_byte(rest->ptr[len])) {
        len++;
    }
    *token = hf_slice_first(*rest, len);
    *rest = hf_slice_from(*rest, len);
    skip_space(rest);
    return len > 0;
}

/* Takes the character off when it is next, and the space behind it. */
static bool take_byte(struct hf_slice *rest, uint8_t byte)
{
    if (rest->len == 0 || rest->ptr[0] != byte) {
        return false;
    }
    *rest = hf_slice_from(*rest, 1);
    skip_space(rest);
    return true;
}

/* A parameter's value with quotes and backslashes taken off. Longer than VALUE_MAX: kept cut, `len`
 * counts on. */
struct value {
    bool present;
    size_t len;
    uint8_t text[VALUE_MAX];
};

static void value_add(struct value *value, uint8_t byte)
{
    if (value->len < VALUE_MAX) {
        value->text[value->len] = byte;
    }
    value->len++;
}

/* A quoted-string whose opening quote was taken off; RFC 6455 9.1: unescaped it must be a token. */
static bool take_quoted(struct hf_slice *rest, struct value *value)
{
    size_t i = 0;
    for (; i < rest->len && rest->ptr[i] != '"'; i++) {
        if (rest->ptr[i] == '\\' && ++i == rest->len) {
            return false;
        }
        if (!is_token_byte(rest->ptr[i])) {
            return false;
        }
        value_add(value, rest->ptr[i]);
    }
    if (i == rest->len || value->len == 0) {
        return false;
    }
    *rest = hf_slice_from(*rest, i + 1);
    skip_space(rest);
    return true;
}

/* What stands behind "=". */
static bool take_value(struct hf_slice *rest, struct value *value)
{
    struct hf_slice token;
    value->present = true;
    if (rest->len > 0 && rest->ptr[0] == '"') {
        *rest = hf_slice_from(*rest, 1);
        return take_quoted(rest, value);
    }
    if (!take_token(rest, &token)) {
        return false;
    }
    for (size_t i = 0; i < token.len; i++) {
        value_add(value, token.ptr[i]);
    }
    return true;
}

/* RFC 7692 7.1.2: a decimal integer without leading zeros, 8 to 15. 0 when it is not. */
static uint8_t window_bits(const struct value *value)
{
    if (value->len == 1 && (value->text[0] == '8' || value->text[0] == '9')) {
        return (uint8_t)(value->text[0] - '0');
    }
    if (value->len == 2 && value->text[0] == '1' && value->text[1] >= '0' &&
        value->text[1] <= '5') {
        return (uint8_t)(10 + value->text[1] - '0');
    }
    return 0;
}

/* Sets a parameter that has no value (RFC 7692 7.1.1); false when it has one or was there before.
 */
static bool set_flag(bool *flag, const struct value *value)
{
    const bool fine = !*flag && !value->present;
    *flag = true;
    return fine;
}

/* Sets one parameter of permessage-deflate; false when an offer or an answer with it is to be
 * declined. */
static bool set_param(struct params *params, struct hf_slice name, const struct value *value)
{
    if (hf_slice_eq(name, HF_LITERAL("server_no_context_takeover"))) {
        return set_flag(&params->server_no_context_takeover, value);
    }
    if (hf_slice_eq(name, HF_LITERAL("client_no_context_takeover"))) {
        return set_flag(&params->client_no_context_takeover, value);
    }
    if (hf_slice_eq(name, HF_LITERAL("server_max_window_bits"))) {
        const bool again = params->server_bits != 0;
        params->server_bits = window_bits(value); /* RFC 7692 7.1.2.1: the value is required. */
        return !again && params->server_bits != 0;
    }
    if (hf_slice_eq(name, HF_LITERAL("client_max_window_bits"))) {
        const bool again = params->client_bits_named;
        params->client_bits_named = true;
        params->client_bits = window_bits(value);
        return !again && (!value->present || params->client_bits != 0);
    }
    return false; /* RFC 7692 7.1: an unknown parameter */
}

/* Reads one member of the list, trimmed. */
static enum reading read_extension(struct hf_slice member, struct params *params)
{
    struct hf_slice extension;
    struct hf_slice name;
    bool fine = true;
    *params = (struct params){.server_bits = 0};
    skip_space(&member);
    if (!take_token(&member, &extension)) {
        return READ_SYNTAX;
    }
    const bool deflate = hf_slice_eq(extension, NAME);
    while (take_byte(&member, ';')) {
        struct value value = {.present = false};
        if (!take_token(&member, &name) ||
            (take_byte(&member, '=') && !take_value(&member, &value))) {
            return READ_SYNTAX;
        }
        fine = fine && deflate && set_param(params, name, &value);
    }
    if (member.len > 0) {
        return READ_SYNTAX;
    }
    if (!deflate) {
        return READ_OTHER;
    }
    return fine ? READ_DEFLATE : READ_MALFORMED;
}

enum hf_extension_check hf_extension_offers(const struct hf_head *request, struct hf_buffer *offers)
{
    struct hf_slice member;
    struct params params;
    uint32_t cursor = 0;
    size_t members = 0;
    size_t kept = 0;
    while (hf_head_next_member(request, HEADER, &cursor, &member)) {
        members++;
        const enum reading reading = read_extension(member, &params);
        if (reading == READ_SYNTAX) {
            return HF_EXTENSION_SYNTAX;
        }
        if (reading == READ_DEFLATE) {
            (void)hf_buffer_add_text(offers, kept == 0 ? "" : ", ");
            (void)hf_buffer_add(offers, member);
            kept++;
        }
    }
    if (members == 0 && hf_head_count(request, HEADER) > 0) {
        return HF_EXTENSION_SYNTAX; /* RFC 6455 9.1: 1#extension */
    }
    return kept == 0 ? HF_EXTENSION_NONE : HF_EXTENSION_OK;
}

/* The next well-formed offer in a header value; quoted strings in one hold only tokens, so no
 * comma. */
static bool next_offer(struct hf_slice *offers, struct params *offer)
{
    struct hf_slice piece;
    while (hf_slice_next(offers, ',', &piece)) {
        if (read_extension(hf_slice_trim(piece), offer) == READ_DEFLATE) {
            return true;
        }
    }
    return false;
}

/* May this answer follow this offer? */
static bool fits(const struct params *answer, const struct params *offer)
{
    /* RFC 7692 7.1.1.1: a server accepts the offer by naming it too; it may name it unasked. */
    if (offer->server_no_context_takeover && !answer->server_no_context_takeover) {
        return false;
    }
    /* RFC 7692 7.1.2.1: a server accepts the offer with the same or a smaller value; when the offer
     * did not name it, the server still may. */
    if (offer->server_bits != 0 &&
        (answer->server_bits == 0 || answer->server_bits > offer->server_bits)) {
        return false;
    }
    /* RFC 7692 7.1.2.2: only when the offer named it, and not beyond a value it gave. */
    if (answer->client_bits_named &&
        (!offer->client_bits_named ||
         (offer->client_bits != 0 && answer->client_bits > offer->client_bits))) {
        return false;
    }
    return true;
}

/* The bits named by the answer, else those of the offer's hint, else all. */
static uint8_t bits_or(uint8_t answer, uint8_t hint)
{
    if (answer != 0) {
        return answer;
    }
    return hint != 0 ? hint : BITS_DEFAULT;
}

static struct hf_deflate agree(const struct params *answer, const struct params *offer)
{
    return (struct hf_deflate){
        .agreed = true,
        .server_no_context_takeover = answer->server_no_context_takeover,
        .client_no_context_takeover =
            answer->client_no_context_takeover || offer->client_no_context_takeover,
        .server_bits = bits_or(answer->server_bits, 0),
        .client_bits = bits_or(answer->client_bits, offer->client_bits),
    };
}

static const struct hf_deflate nothing_agreed = {.server_bits = BITS_DEFAULT,
                                                 .client_bits = BITS_DEFAULT};

/* Reads the answer's only member; NONE when there is no header at all. */
static enum hf_extension_check read_answer(const struct hf_head *response, struct params *answer)
{
    struct hf_slice member;
    struct params params;
    uint32_t cursor = 0;
    size_t members = 0;
    bool fine = true;
    while (hf_head_next_member(response, HEADER, &cursor, &member)) {
        const enum reading reading = read_extension(member, &params);
        if (reading == READ_SYNTAX) {
            return HF_EXTENSION_SYNTAX;
        }
        /* RFC 6455 4.1: an extension that was not offered fails the connection; permessage-deflate
         * twice would claim RSV1 twice. RFC 7692 7.1.2.2: in an answer client_max_window_bits needs
         * its value. */
        fine = fine && reading == READ_DEFLATE && members == 0 &&
               (!params.client_bits_named || params.client_bits != 0);
        *answer = params;
        members++;
    }
    if (members == 0) {
        return hf_head_count(response, HEADER) == 0 ? HF_EXTENSION_NONE : HF_EXTENSION_SYNTAX;
    }
    return fine ? HF_EXTENSION_OK : HF_EXTENSION_REFUSED;
}

enum hf_extension_check hf_extension_answer(const struct hf_head *response, struct hf_slice offers,
                                            struct hf_deflate *agreed)
{
    struct params answer = {.server_bits = 0};
    struct params offer;
    *agreed = nothing_agreed;
    const enum hf_extension_check check = read_answer(response, &answer);
    if (check != HF_EXTENSION_OK) {
        return check;
    }
    while (next_offer(&offers, &offer)) {
        if (fits(&answer, &offer)) {
            *agreed = agree(&answer, &offer);
            return HF_EXTENSION_OK;
        }
    }
    return HF_EXTENSION_REFUSED;
}

enum hf_extension_check hf_extension_accept(struct hf_slice offers, struct hf_buffer *answer,
                                            struct hf_deflate *agreed)
{
    struct params offer;
    *agreed = nothing_agreed;
    if (!next_offer(&offers, &offer)) {
        return HF_EXTENSION_NONE;
    }
    (void)hf_buffer_add(answer, NAME);
    if (offer.server_no_context_takeover) { /* RFC 7692 7.1.1.1 */
        (void)hf_buffer_add_text(answer, "; server_no_context_takeover");
    }
    if (offer.client_no_context_takeover) {
        (void)hf_buffer_add_text(answer, "; client_no_context_takeover");
    }
    if (offer.server_bits != 0) { /* RFC 7692 7.1.2.1 */
        (void)hf_buffer_addf(answer, "; server_max_window_bits=%u", (unsigned)offer.server_bits);
    }
    /* The client's window is left to the client: it keeps to its own hint (RFC 7692 7.1.2.2). */
    *agreed = agree(&offer, &offer);
    return HF_EXTENSION_OK;
}
