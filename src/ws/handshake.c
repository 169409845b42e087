/* SPDX-License-Identifier: Apache-2.0 */
/* The opening handshake, RFC 6455 section 4: what a request and its 101 must hold. Every refusal is
 * a sentence that says what was wrong, and where a proxy in front is the usual culprit, it says so.
 */
#include "ws/handshake.h"

#include "base/hash.h"
#include "base/status.h"

#define NONCE_BYTES 16
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 1.3 */
#define GUID_CHARS (sizeof(GUID) - 1)

void hf_ws_accept(struct hf_slice key, char accept[HF_WS_ACCEPT_CHARS])
{
    uint8_t text[HF_WS_KEY_CHARS + GUID_CHARS];
    uint8_t digest[HF_SHA1_BYTES];
    HF_ASSERT(key.len == HF_WS_KEY_CHARS);
    memcpy(text, key.ptr, HF_WS_KEY_CHARS);
    memcpy(text + HF_WS_KEY_CHARS, GUID, GUID_CHARS);
    hf_sha1(hf_slice(text, sizeof(text)), digest);
    (void)hf_base64_encode(hf_slice(digest, sizeof(digest)), accept);
}

void hf_ws_key(const uint8_t nonce[NONCE_BYTES], char key[HF_WS_KEY_CHARS])
{
    (void)hf_base64_encode(hf_slice(nonce, NONCE_BYTES), key);
}

/* RFC 6455 4.1: characters U+0021 to U+007E without separators, which is RFC 2616's token. */
static bool is_token(struct hf_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] <= ' ' || s.ptr[i] > '~' || strchr("()<>@,;:\\\"/[]?={}", s.ptr[i]) != NULL) {
            return false;
        }
    }
    return s.len > 0;
}

static bool is_key(struct hf_slice value)
{
    uint8_t nonce[HF_WS_KEY_CHARS / 4 * 3];
    size_t len = 0;
    return value.len == HF_WS_KEY_CHARS && hf_base64_decode(value, nonce, &len) &&
           len == NONCE_BYTES;
}

/* NULL when the subprotocols offered are right: RFC 6455 4.1 point 10, 11.3.4. */
static const char *check_protocols(const struct hf_head *head)
{
    struct hf_slice seen[HF_WS_PROTOCOLS_MAX];
    struct hf_slice member;
    size_t count = 0;
    uint32_t cursor = 0;
    while (hf_head_next_member(head, "Sec-WebSocket-Protocol", &cursor, &member)) {
        if (!is_token(member)) {
            return "A subprotocol in Sec-WebSocket-Protocol is not a token.";
        }
        if (count == HF_WS_PROTOCOLS_MAX) {
            return "Sec-WebSocket-Protocol names more than 64 subprotocols.";
        }
        for (size_t i = 0; i < count; i++) {
            if (hf_slice_eq(seen[i], member)) {
                return "Sec-WebSocket-Protocol names a subprotocol twice.";
            }
        }
        seen[count++] = member;
    }
    if (count == 0 && hf_head_count(head, "Sec-WebSocket-Protocol") > 0) {
        return "Sec-WebSocket-Protocol is empty.";
    }
    return NULL;
}

/* NULL when no reader could take bytes behind this head for a body or wait for something first. */
static const char *check_smuggling(const struct hf_head *head)
{
    const size_t lengths = hf_head_count(head, "Content-Length");
    if (lengths > 1 ||
        (lengths == 1 && !hf_slice_eq(*hf_head_find(head, "Content-Length"), HF_LITERAL("0")))) {
        return "A WebSocket handshake has no body, but Content-Length is not 0.";
    }
    if (hf_head_count(head, "Transfer-Encoding") > 0) {
        return "A WebSocket handshake has no body, but there is a Transfer-Encoding.";
    }
    if (hf_head_count(head, "Expect") > 0) {
        return "A WebSocket handshake must not carry Expect.";
    }
    if (hf_head_count(head, "Trailer") > 0) {
        return "A WebSocket handshake must not carry Trailer.";
    }
    return NULL;
}

/* NULL when Host, Sec-WebSocket-Key and Origin are right: RFC 6455 4.2.1 points 2, 5 and 7. */
static const char *check_single_headers(const struct hf_head *head)
{
    if (hf_head_count(head, "Host") != 1 || hf_head_find(head, "Host")->len == 0) {
        return "The handshake needs exactly one Host that is not empty.";
    }
    if (head->authority.len > 0 &&
        !hf_slice_eq_nocase(head->authority, *hf_head_find(head, "Host"))) {
        return "The request's target names another host than Host does."; /* RFC 9112 3.2.2 */
    }
    if (hf_head_count(head, "Sec-WebSocket-Key") != 1) {
        return "The handshake needs exactly one Sec-WebSocket-Key.";
    }
    if (!is_key(*hf_head_find(head, "Sec-WebSocket-Key"))) {
        return "Sec-WebSocket-Key is not 16 bytes in base64.";
    }
    if (hf_head_count(head, "Origin") > 1) {
        return "There is more than one Origin.";
    }
    return NULL;
}

/* What the method, the HTTP version, Upgrade and Connection say; status 0 when they ask for a
 * WebSocket rightly. */
static struct hf_ws_refusal check_asking(const struct hf_head *head)
{
    const bool upgrade = hf_head_has_token(head, "Upgrade", "websocket");
    if (!upgrade && hf_head_count(head, "Sec-WebSocket-Key") == 0) {
        return (struct hf_ws_refusal){
            .status = 426,
            .not_websocket = true,
            .why = "This is an ordinary HTTP request; a WebSocket handshake is wanted here.",
        };
    }
    if (head->minor != 1) { /* RFC 6455 4.2.1 point 1 */
        return (struct hf_ws_refusal){
            .status = 505,
            .why =
                "A WebSocket handshake needs HTTP/1.1, and this came as HTTP/1.0; does a proxy in "
                "front speak 1.0 to us?",
        };
    }
    if (!hf_slice_eq(head->method, HF_LITERAL("GET"))) { /* RFC 6455 4.2.1 point 1 */
        return (struct hf_ws_refusal){
            .status = 405,
            .why = "A WebSocket handshake is a GET.",
        };
    }
    if (!upgrade) { /* RFC 6455 4.2.1 point 3 */
        return (struct hf_ws_refusal){
            .status = 426,
            .why =
                "There is a Sec-WebSocket-Key but no Upgrade: websocket; a proxy in front took it "
                "off.",
        };
    }
    if (!hf_head_has_token(head, "Connection", "upgrade")) { /* RFC 6455 4.2.1 point 4 */
        return (struct hf_ws_refusal){
            .status = 400,
            .why = "Connection does not say upgrade; a proxy in front may have changed it.",
        };
    }
    return (struct hf_ws_refusal){.status = 0};
}

/* RFC 6455 4.2.1 point 6, 4.2.2 and 4.4: the version is 13; another gets 426 and is told ours. */
static struct hf_ws_refusal check_version(const struct hf_head *head)
{
    const size_t count = hf_head_count(head, "Sec-WebSocket-Version");
    if (count != 1) { /* RFC 6455 11.3.5: at most once in a request */
        return (struct hf_ws_refusal){
            .status = 400,
            .version = true,
            .why = "The handshake needs exactly one Sec-WebSocket-Version.",
        };
    }
    if (!hf_slice_eq(*hf_head_find(head, "Sec-WebSocket-Version"), HF_LITERAL("13"))) {
        return (struct hf_ws_refusal){
            .status = 426,
            .version = true,
            .why = "Only version 13 of WebSocket is spoken here.",
        };
    }
    return (struct hf_ws_refusal){.status = 0};
}

struct hf_ws_refusal hf_ws_check_request(const struct hf_head *head)
{
    struct hf_ws_refusal refusal = check_asking(head);
    if (refusal.status != 0) {
        return refusal;
    }
    const char *why = check_smuggling(head);
    if (why != NULL) {
        return (struct hf_ws_refusal){.status = 400, .why = why};
    }
    refusal = check_version(head);
    if (refusal.status != 0) {
        return refusal;
    }
    why = check_single_headers(head);
    if (why == NULL) {
        why = check_protocols(head);
    }
    return (struct hf_ws_refusal){.status = why == NULL ? 0 : 400, .why = why};
}

/* True when name is one of the members of the header value `offered`. */
static bool is_offered(struct hf_slice offered, struct hf_slice name)
{
    struct hf_slice piece;
    while (hf_slice_next(&offered, ',', &piece)) {
        if (hf_slice_eq(hf_slice_trim(piece), name)) {
            return name.len > 0;
        }
    }
    return false;
}

const char *hf_ws_check_response(const struct hf_head *head, struct hf_slice key,
                                 struct hf_slice offered_protocols)
{
    char accept[HF_WS_ACCEPT_CHARS];
    /* RFC 6455 4.1, what the client must validate, in its order. */
    if (head->status != 101) {
        return "The answer is not 101 Switching Protocols.";
    }
    if (head->minor != 1) {
        return "The 101 is not HTTP/1.1.";
    }
    if (hf_head_count(head, "Upgrade") != 1 ||
        !hf_slice_eq_nocase(*hf_head_find(head, "Upgrade"), HF_LITERAL("websocket"))) {
        return "The 101 does not say Upgrade: websocket.";
    }
    if (!hf_head_has_token(head, "Connection", "upgrade")) {
        return "The 101 does not say Connection: Upgrade.";
    }
    hf_ws_accept(key, accept);
    if (hf_head_count(head, "Sec-WebSocket-Accept") != 1 ||
        !hf_slice_eq(*hf_head_find(head, "Sec-WebSocket-Accept"),
                     hf_slice(accept, sizeof(accept)))) {
        return "Sec-WebSocket-Accept does not fit the key that was sent.";
    }
    const size_t protocols = hf_head_count(head, "Sec-WebSocket-Protocol");
    if (protocols > 1) { /* RFC 6455 11.3.4 */
        return "The 101 has more than one Sec-WebSocket-Protocol.";
    }
    if (protocols == 1 &&
        !is_offered(offered_protocols, *hf_head_find(head, "Sec-WebSocket-Protocol"))) {
        return "The 101 names a subprotocol that was not offered.";
    }
    return NULL;
}
