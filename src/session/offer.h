/* SPDX-License-Identifier: Apache-2.0 */
/* What a client says of its session before there is a connection: hf1, hf1.o.<secret> and
 * hf1.r.<token>.<epoch>.<S>.<attempt> among the subprotocols, HF-Open and HF-Resume without
 * WebSockets (docs/protocol.md sections 3, 4, 9). Pure. */
#ifndef HF_SESSION_OFFER_H
#define HF_SESSION_OFFER_H

#include "base/buffer.h"
#include "base/hash.h"

#define HF_OPEN_SECRET_MAX 32 /* decoded bytes; at least 16 */

enum hf_offer_kind {
    HF_OFFER_NONE, /* a plain client */
    HF_OFFER_BARE, /* hf1 alone: a session that cannot be joined */
    HF_OFFER_OPEN,
    HF_OFFER_RESUME,
    HF_OFFER_BAD, /* hf1.o or hf1.r that cannot be read, two of a kind or both: why says what */
};

struct hf_offer {
    enum hf_offer_kind kind;
    bool bare;       /* hf1 itself was among them */
    const char *why; /* of BAD */
    uint8_t open_secret[HF_OPEN_SECRET_MAX];
    uint8_t open_secret_len;
    struct hf_slice token; /* RESUME: base64url, borrowed */
    uint64_t epoch, received, attempt;
};

/* Zero it to start; then give it each member of the list. True when the member is hf1's and must
 * not go to the backend; members hf1.… of a kind that is not known yet are passed over. HF-Open and
 * HF-Resume stand for themselves: give it the member hf1 beside them. */
bool hf_offer_member(struct hf_offer *offer, struct hf_slice member);
/* After the last member: hf1.o or hf1.r without hf1 is BAD. */
void hf_offer_finish(struct hf_offer *offer);
/* Writes hf1.r.… or hf1.o.…; the secret in bytes, 16 to HF_OPEN_SECRET_MAX. */
void hf_offer_write_resume(struct hf_buffer *out, struct hf_slice token, uint64_t epoch,
                           uint64_t received, uint64_t attempt);
void hf_offer_write_open(struct hf_buffer *out, struct hf_slice secret);

/* ---- tokens and keys --------------------------------------------------------------------------
 */

#define HF_TOKEN_SECRET 16
#define HF_TOKEN_BYTES 36
#define HF_TOKEN_CHARS 48 /* base64url of them */
#define HF_KEY_BYTES 32
#define HF_KEY_CHARS 43

/* version(1) node(2) boot(4) worker(1) id(8) generation(4) secret(16), big-endian. A key is the
 * same without generation, with version 2. */
struct hf_token {
    uint16_t node;
    uint32_t boot;
    uint8_t worker;
    uint64_t id;
    uint32_t generation; /* 0 for a key */
    uint8_t secret[HF_TOKEN_SECRET];
};
/* False when it is none. */
bool hf_token_read(struct hf_slice text, struct hf_token *token);
void hf_token_write(const struct hf_token *token, char text[HF_TOKEN_CHARS]); /* no NUL */
bool hf_key_read(struct hf_slice text, struct hf_token *key);
void hf_key_write(const struct hf_token *key, char text[HF_KEY_CHARS]); /* no NUL */

#endif
